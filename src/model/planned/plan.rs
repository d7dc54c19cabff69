//! What is computed where: a graph cut into steps over buffers.
//!
//! Operations that only epilogue what another has computed (batch-norm, addition, activation) become part of its
//! step, parts of a concatenation are written where they belong, and what changes nothing takes no step at all.

use crate::error::{Error, Kind, Result};
use crate::model::{Graph, NodeId, Op};
use crate::tensor::Activation;
use percept_kernels::Maps;

/// Some channels of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) buffer: usize,
    /// First channel.
    pub(super) offset: usize,
    pub(super) channels: usize,
}

/// Maps in memory: for each image `height · width` rows of `channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffer {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Buffer {
    fn new(shape: &[usize]) -> Self {
        match *shape {
            [channels, height, width] => Self { channels, height, width },
            // a row of numbers, or something only the reference operations understand
            _ => Self { channels: shape.iter().product(), height: 1, width: 1 },
        }
    }

    /// Its maps for so many images.
    pub(super) fn maps(&self, batch: usize) -> Maps {
        Maps { batch, height: self.height, width: self.width }
    }

    /// Floats for so many images, with a row of zeros at the end.
    pub(super) fn len(&self, batch: usize) -> usize {
        (self.maps(batch).rows() + 1) * self.channels
    }
}

/// What a step computes before it is finished.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// A convolution with the scales that follow it folded into its weights.
    Convolution { node: NodeId, scales: Vec<NodeId> },
    /// A linear layer.
    Linear(NodeId),
    /// Scales and shifts of channels; without any, a copy.
    Scale(Vec<NodeId>),
    /// The sum of all inputs.
    Sum,
    /// The product of two inputs, of which one may have one row for each image.
    Product,
    /// A pooling.
    MaxPool(NodeId),
    /// An average pooling.
    AveragePool(NodeId),
    /// Maps to a row of numbers, channel by channel.
    Flatten,
    /// Anything else, by the reference operation.
    Other(NodeId),
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) work: Work,
    pub(super) inputs: Vec<Place>,
    pub(super) output: Place,
    /// Added to the result.
    pub(super) residual: Option<Place>,
    /// Applied last.
    pub(super) activation: Option<Activation>,
    /// The node whose value it is, for messages.
    pub(super) node: NodeId,
    /// On the way back, its first input's gradient is complete after it and can be gated at once: the upper limit of
    /// the rectifiers that made all of that input.
    pub(super) gates: Option<f32>,
    /// Whether such a step gates the gradient of this one's value.
    pub(super) gated: bool,
}

/// Steps in order, for images of one size.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) buffers: Vec<Buffer>,
    /// Where each tap ends up, and its shape for one image.
    pub(super) taps: Vec<(Place, Vec<usize>)>,
    /// Which buffers the way back needs.
    pub(super) kept: Vec<bool>,
}

/// Where the network's input is.
pub(super) const INPUT: usize = 0;

impl Plan {
    /// A plan that computes `taps` for an image `[C, H, W]`, and can be walked back if `gradients`.
    pub(super) fn new(graph: &Graph, taps: &[NodeId], image: [usize; 3], gradients: bool) -> Result<Self> {
        let last = taps.iter().copied().max().unwrap_or(NodeId::INPUT);
        let shapes = graph.shapes(image, last)?;
        let needed = graph.needed(taps);
        let mut readers: Vec<Vec<NodeId>> = vec![Vec::new(); shapes.len()];
        for id in graph.ids().take(shapes.len()).filter(|id| needed[id.index()]) {
            graph.node(id).inputs.iter().for_each(|input| readers[input.index()].push(id));
        }
        let mut tapped = vec![false; shapes.len()];
        taps.iter().for_each(|tap| tapped[tap.index()] = true);
        let fusion = Fusion { graph, readers: &readers, tapped: &tapped, gradients };
        let drafts = fusion.drafts(&needed[..shapes.len()]);
        let mut layout = Layout::new(graph, &shapes, &drafts);
        let mut steps = Vec::with_capacity(drafts.len());
        for draft in &drafts {
            layout.place(draft, &mut steps)?;
        }
        let taps = taps.iter().map(|tap| Ok((layout.of(*tap)?, shapes[tap.index()].clone())));
        let taps = taps.collect::<Result<Vec<_>>>()?;
        let mut kept = vec![false; layout.buffers.len()];
        if gradients {
            steps.iter().for_each(|step| step.keep(&mut kept));
            fuse_gates(&mut steps);
        }
        Ok(Self { steps, buffers: layout.buffers, taps, kept })
    }

    /// Floats that all buffers hold for one image.
    pub(super) fn len(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.len(1)).sum()
    }
}

/// Finds the steps on whose way back rectifiers can be taken in.
fn fuse_gates(steps: &mut [Step]) {
    for index in 0..steps.len() {
        let step = &steps[index];
        let able = matches!(
            step.work,
            Work::Convolution { .. } | Work::Linear(_) | Work::Scale(_) | Work::MaxPool(_) | Work::AveragePool(_)
        );
        let &[input] = &step.inputs[..] else { continue };
        let makers: Vec<usize> = (0..index).filter(|maker| steps[*maker].output.meets(input)).collect();
        let made: usize = makers.iter().map(|maker| steps[*maker].output.channels).sum();
        let Some(limit) = makers.first().and_then(|maker| steps[*maker].limit()) else { continue };
        let whole =
            makers.iter().all(|maker| steps[*maker].output.within(input) && steps[*maker].limit() == Some(limit));
        let alone = |maker: &usize| {
            let output = steps[*maker].output;
            let reads =
                |step: &Step| step.inputs.iter().chain(&step.residual).filter(|place| place.meets(output)).count();
            // nobody reads it before this step, and this step only once
            steps[*maker + 1..index].iter().all(|step| reads(step) == 0) && reads(&steps[index]) == 1
        };
        if able && made == input.channels && whole && makers.iter().all(alone) {
            steps[index].gates = Some(limit);
            makers.iter().for_each(|maker| steps[*maker].gated = true);
        }
    }
}

impl Place {
    /// Whether both have a channel in common.
    fn meets(self, other: Self) -> bool {
        self.buffer == other.buffer
            && self.offset < other.offset + other.channels
            && other.offset < self.offset + self.channels
    }

    fn within(self, other: Self) -> bool {
        self.buffer == other.buffer
            && other.offset <= self.offset
            && self.offset + self.channels <= other.offset + other.channels
    }
}

impl Step {
    /// Where a rectifier that ends this step stops; none if it ends otherwise.
    pub(super) fn limit(&self) -> Option<f32> {
        match self.activation? {
            Activation::Relu => Some(f32::INFINITY),
            Activation::Clip(0.0, high) => Some(high),
            _ => None,
        }
    }

    /// Marks what the way back through this step needs.
    fn keep(&self, kept: &mut [bool]) {
        if self.activation.is_some_and(Activation::remembers_by_value) {
            kept[self.output.buffer] = true;
        }
        match &self.work {
            Work::MaxPool(_) => {
                kept[self.inputs[0].buffer] = true;
                kept[self.output.buffer] = true;
            }
            Work::Product => self.inputs.iter().for_each(|input| kept[input.buffer] = true),
            _ => {}
        }
    }
}

/// A step before its buffers are known.
#[derive(Debug)]
struct Draft {
    work: DraftWork,
    inputs: Vec<NodeId>,
    residual: Option<NodeId>,
    activation: Option<Activation>,
    /// The node whose value it makes.
    node: NodeId,
}

#[derive(Debug)]
enum DraftWork {
    Step(Work),
    /// The value of another node.
    Same,
    Concat,
    Input,
}

/// Decides which nodes become part of which steps.
struct Fusion<'a> {
    graph: &'a Graph,
    readers: &'a [Vec<NodeId>],
    tapped: &'a [bool],
    gradients: bool,
}

impl Fusion<'_> {
    fn drafts(&self, needed: &[bool]) -> Vec<Draft> {
        let mut absorbed = vec![false; needed.len()];
        let mut made = vec![false; needed.len()];
        let mut drafts = Vec::new();
        for id in self.graph.ids().take(needed.len()).filter(|id| needed[id.index()]) {
            if absorbed[id.index()] {
                continue;
            }
            let mut draft = self.draft(id);
            self.absorb(&mut draft, &mut absorbed, &made);
            made[draft.node.index()] = true;
            drafts.push(draft);
        }
        drafts
    }

    /// A node by itself.
    fn draft(&self, id: NodeId) -> Draft {
        let node = self.graph.node(id);
        let step = DraftWork::Step;
        let mut activation = None;
        let work = match &node.op {
            Op::Input { .. } => DraftWork::Input,
            Op::Conv2d(_) => step(Work::Convolution { node: id, scales: Vec::new() }),
            Op::Linear(_) => step(Work::Linear(id)),
            Op::BatchNorm(_) | Op::Scale(_) => step(Work::Scale(vec![id])),
            // on the way back, those that are known by their value are gated like any epilogue
            Op::Activation(function) if !self.gradients || function.remembers_by_value() => {
                activation = Some(*function);
                step(Work::Scale(Vec::new()))
            }
            Op::MaxPool2d(_) => step(Work::MaxPool(id)),
            Op::AvgPool2d { .. } | Op::AdaptiveAvgPool2d(_) => step(Work::AveragePool(id)),
            Op::Concat => DraftWork::Concat,
            Op::Add => step(Work::Sum),
            Op::Mul => step(Work::Product),
            Op::Dropout => DraftWork::Same,
            Op::Flatten => step(Work::Flatten),
            _ => step(Work::Other(id)),
        };
        Draft { work, inputs: node.inputs.clone(), residual: None, activation, node: id }
    }

    /// Takes in the nodes after it as long as nothing else reads what lies between.
    fn absorb(&self, draft: &mut Draft, absorbed: &mut [bool], made: &[bool]) {
        let DraftWork::Step(work) = &mut draft.work else { return };
        if matches!(work, Work::Flatten | Work::Other(_) | Work::MaxPool(_) | Work::AveragePool(_) | Work::Product) {
            return;
        }
        while let [reader] = self.readers[draft.node.index()][..] {
            if self.tapped[draft.node.index()] || draft.activation.is_some() {
                return;
            }
            let node = self.graph.node(reader);
            match (&node.op, &mut *work) {
                (Op::BatchNorm(_) | Op::Scale(_), Work::Convolution { scales, .. } | Work::Scale(scales))
                    if draft.residual.is_none() =>
                {
                    scales.push(reader);
                }
                (Op::Add, _) if draft.residual.is_none() => match node.inputs[..] {
                    [a, b] if a != b => {
                        let other = if a == draft.node { b } else { a };
                        // only what is there when this step runs can be added
                        if !made[other.index()] {
                            return;
                        }
                        draft.residual = Some(other);
                    }
                    _ => return,
                },
                (Op::Activation(function), _) if !self.gradients || function.remembers_by_value() => {
                    draft.activation = Some(*function);
                }
                (Op::Dropout, _) => {}
                _ => return,
            }
            absorbed[reader.index()] = true;
            draft.node = reader;
        }
    }
}

/// Gives every value its place.
struct Layout<'a> {
    graph: &'a Graph,
    shapes: &'a [Vec<usize>],
    buffers: Vec<Buffer>,
    places: Vec<Option<Place>>,
    /// The concatenation of which a node is a part, and its first channel there.
    parents: Vec<Option<(NodeId, usize)>>,
}

impl<'a> Layout<'a> {
    fn new(graph: &'a Graph, shapes: &'a [Vec<usize>], drafts: &[Draft]) -> Self {
        let mut layout = Self {
            graph,
            shapes,
            buffers: Vec::new(),
            places: vec![None; shapes.len()],
            parents: vec![None; shapes.len()],
        };
        // the widest first, so that narrower ones find their parts already side by side
        let mut concats: Vec<&Draft> = drafts.iter().filter(|draft| matches!(draft.work, DraftWork::Concat)).collect();
        concats.sort_by_key(|draft| std::cmp::Reverse(draft.inputs.len()));
        for concat in concats {
            layout.adopt(concat, drafts);
        }
        layout
    }

    /// Makes what a concatenation joins its parts, where a step makes them and doesn't read from the same buffer.
    fn adopt(&mut self, concat: &Draft, drafts: &[Draft]) {
        let mut offset = 0;
        let joined = |id: &NodeId| concat.inputs.contains(id);
        let shares = |id: &NodeId| {
            joined(id) || *id == concat.node || {
                let node = self.graph.node(*id);
                node.op == Op::Concat && node.inputs.iter().any(joined)
            }
        };
        let mut parts = Vec::new();
        for (i, input) in concat.inputs.iter().enumerate() {
            let step = drafts.iter().find(|draft| draft.node == *input);
            let made = step.is_some_and(|draft| {
                matches!(draft.work, DraftWork::Step(_))
                    && !draft.inputs.iter().chain(&draft.residual).any(|read| shares(&self.source(*read)))
            });
            let repeated = concat.inputs[..i].contains(input);
            if made && !repeated && self.parents[input.index()].is_none() {
                parts.push((*input, offset));
            }
            offset += self.shapes[input.index()].first().copied().unwrap_or(0);
        }
        for (input, offset) in parts {
            self.parents[input.index()] = Some((concat.node, offset));
        }
    }

    /// The node whose value passes unchanged to this one.
    fn source(&self, mut id: NodeId) -> NodeId {
        while self.graph.node(id).op == Op::Dropout {
            id = self.graph.node(id).inputs[0];
        }
        id
    }

    fn of(&self, id: NodeId) -> Result<Place> {
        self.places[id.index()].ok_or_else(|| Error::new(Kind::Internal, "a node has no place in the plan"))
    }

    /// A buffer for a node's value alone.
    fn own(&mut self, id: NodeId) -> Place {
        let buffer = Buffer::new(&self.shapes[id.index()]);
        self.buffers.push(buffer);
        Place { buffer: self.buffers.len() - 1, offset: 0, channels: buffer.channels }
    }

    /// The place that a step writes: part of a concatenation, or a buffer of its own.
    fn target(&mut self, id: NodeId) -> Place {
        let Some((concat, offset)) = self.parents[id.index()] else { return self.own(id) };
        let whole = match self.places[concat.index()] {
            Some(place) => place,
            None => {
                let place = self.own(concat);
                self.places[concat.index()] = Some(place);
                place
            }
        };
        let channels = self.shapes[id.index()].first().copied().unwrap_or(0);
        Place { offset: whole.offset + offset, channels, ..whole }
    }

    fn place(&mut self, draft: &Draft, steps: &mut Vec<Step>) -> Result<()> {
        let inputs = draft.inputs.iter().map(|id| self.of(*id)).collect::<Result<Vec<Place>>>()?;
        let id = draft.node;
        match &draft.work {
            DraftWork::Input => self.places[id.index()] = Some(self.own(id)),
            DraftWork::Same => self.places[id.index()] = inputs.first().copied(),
            DraftWork::Concat => self.concat(id, &inputs, steps),
            DraftWork::Step(Work::Flatten) if self.is_flat(&inputs) => {
                self.places[id.index()] = inputs.first().copied()
            }
            DraftWork::Step(work) => {
                let residual = draft.residual.map(|id| self.of(id)).transpose()?;
                let output = self.target(id);
                self.places[id.index()] = Some(output);
                let (work, activation) = (work.clone(), draft.activation);
                steps.push(Step { work, inputs, output, residual, activation, node: id, gates: None, gated: false });
            }
        }
        Ok(())
    }

    fn is_flat(&self, inputs: &[Place]) -> bool {
        inputs.iter().all(|place| matches!(self.buffers[place.buffer], Buffer { height: 1, width: 1, .. }))
    }

    /// Joins what isn't in place yet, or finds that all of it lies side by side elsewhere.
    fn concat(&mut self, id: NodeId, inputs: &[Place], steps: &mut Vec<Step>) {
        let side_by_side = inputs
            .windows(2)
            .all(|pair| pair[0].buffer == pair[1].buffer && pair[0].offset + pair[0].channels == pair[1].offset);
        if let (None, true, Some(first)) = (self.places[id.index()], side_by_side, inputs.first()) {
            let channels = inputs.iter().map(|place| place.channels).sum();
            self.places[id.index()] = Some(Place { channels, ..*first });
            return;
        }
        let whole = match self.places[id.index()] {
            Some(place) => place,
            None => self.own(id),
        };
        self.places[id.index()] = Some(whole);
        let mut offset = whole.offset;
        for input in inputs {
            let output = Place { offset, channels: input.channels, ..whole };
            let mut copy = |from: Place, to: Place| {
                let work = Work::Scale(Vec::new());
                let step = Step {
                    work,
                    inputs: vec![from],
                    output: to,
                    residual: None,
                    activation: None,
                    node: id,
                    gates: None,
                    gated: false,
                };
                steps.push(step);
            };
            if input.buffer == whole.buffer && *input != output {
                // what is joined with itself takes a way round: a step does not read where it writes
                let buffer = Buffer { channels: input.channels, ..self.buffers[whole.buffer] };
                self.buffers.push(buffer);
                let aside = Place { buffer: self.buffers.len() - 1, offset: 0, channels: input.channels };
                copy(*input, aside);
                copy(aside, output);
            } else if *input != output {
                copy(*input, output);
            }
            offset += input.channels;
        }
    }
}
