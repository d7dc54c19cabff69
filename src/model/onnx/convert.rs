//! From the nodes of an ONNX file to our own: the order, the names, the shapes and the constants. What each operator
//! becomes is in `operators`.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::attributes::Attributes;
use super::constant::{Constant, fold, part, shape_ints};
use super::converter::{Converter, Draft, title};
use super::fuse::fuse;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueProto, is_standard};
use super::value::{Map, Value};
use crate::error::{Error, Kind, Result};
use crate::model::bounds::{check_op, check_shape};
use crate::model::graph::{NodeParts, ordinals};
use crate::model::{AnswerKind, Channels, Graph, ModelOptions, Op, Weights};

/// Bytes that constants may take beside those of the file.
const SLACK: usize = 16 << 20;
/// Names along a cycle that an error lists.
const SHOWN: usize = 6;

/// A network of an ONNX file.
pub(super) struct Converted {
    pub graph: Graph,
    pub weights: Weights,
    /// Height of the input.
    pub height: usize,
    /// Width of the input.
    pub width: usize,
    /// Whether the file's input has its channels last.
    pub channels_last: bool,
    /// Whether the file's input is whole numbers.
    pub bytes: bool,
    /// Numbers of the output.
    pub outputs: usize,
    /// What they are.
    pub answer: AnswerKind,
    /// Whether neither the last layers nor the options say so.
    pub answer_assumed: bool,
}

/// What the file says about the picture.
struct Input<'a> {
    name: &'a str,
    batch: usize,
    channels: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
    channels_last: bool,
    bytes: bool,
}

/// Converts a parsed file. The sizes of the input are those of the options, else the file's where it fixes them, else
/// 224; constants that are computed may take as much memory as the file's `bytes`.
pub(super) fn convert(model: ModelProto<'_>, options: &ModelOptions, bytes: usize) -> Result<Converted> {
    let mut graph = model.graph.ok_or_else(|| Error::new(Kind::File, "not an ONNX model: it has no graph"))?;
    let input = input(&graph)?;
    let channels = match (input.channels, options.channels) {
        (Some(own), Some(given)) if own != given => {
            let message = format!("`channels` is {given}, but the file's input has {own}");
            return Err(Error::new(Kind::Argument, message).at_argument("channels"));
        }
        (own, given) => own.or(given).or(options.order.map(Channels::count)).unwrap_or(3),
    };
    // where only one side is fixed, images are square
    let [height, width] = options.size.unwrap_or_else(|| {
        let side = |own: Option<usize>, other: Option<usize>| own.or(other).unwrap_or(224);
        [side(input.height, input.width), side(input.width, input.height)]
    });
    let output = output(&graph)?;

    let scalars = scalars(&graph);
    let initializers = initializers(std::mem::take(&mut graph.initializers))?;
    fuse(&mut graph.nodes, |name| scalars.get(name).copied());
    let order = order(&graph.nodes, output, |name| name == input.name || initializers.contains_key(name))?;
    let nodes: Vec<&NodeProto<'_>> = order.iter().map(|at| &graph.nodes[*at]).collect();

    let mut readers: HashMap<&str, usize> = HashMap::new();
    nodes.iter().flat_map(|node| &node.inputs).for_each(|name| *readers.entry(name).or_default() += 1);
    let mut converter = Converter {
        opset: model.opset,
        batch: input.batch,
        initializers,
        readers,
        values: HashMap::new(),
        drafts: Vec::new(),
        taken: HashSet::new(),
        repeated: HashMap::new(),
        weights: BTreeMap::new(),
        budget: bytes.saturating_add(SLACK),
        ends_in_log_softmax: false,
    };
    let shape = vec![channels, height, width];
    let id = converter.start(shape, input.name)?;
    let picture = if input.channels_last { Map::channels_last(id) } else { Map::channels_first(id) };
    converter.values.insert(input.name, Value::Map(picture));
    for node in nodes {
        converter.node(node).map_err(|error| error.context(format!("node `{}` ({})", title(node), node.op)))?;
    }
    let finished = converter.finish(output, options.answer)?;
    let (channels_last, bytes) = (input.channels_last, input.bytes);
    let Finished { graph, weights, outputs, answer, answer_assumed } = finished;
    Ok(Converted { graph, weights, height, width, channels_last, bytes, outputs, answer, answer_assumed })
}

/// The one input that is not a constant, and what its shape says.
fn input<'a>(graph: &GraphProto<'a>) -> Result<Input<'a>> {
    let constants: HashSet<&str> = graph.initializers.iter().map(|tensor| tensor.name).collect();
    let inputs: Vec<&ValueProto<'a>> = graph.inputs.iter().filter(|value| !constants.contains(value.name)).collect();
    let fault = |message: String| Error::new(Kind::File, message);
    let picture = "a network takes one batch of images, [N, channels, height, width]";
    let [input] = inputs.as_slice() else {
        let names: Vec<String> = inputs.iter().take(SHOWN).map(|input| format!("`{}`", input.name)).collect();
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        return Err(fault(format!("the graph has {} inputs{names}", inputs.len())).with_hint(picture));
    };
    let unknown = vec![None; 4];
    let dims = input.dims.as_ref().unwrap_or(&unknown);
    let [batch, first, second, third] = dims.as_slice() else {
        let message = format!("the input `{}` has {} axes", input.name, dims.len());
        return Err(fault(message).with_hint(picture));
    };
    let known = |size: &Option<i64>| match *size {
        // writers without a name for an open size write 0 or −1
        None | Some(0 | -1) => Ok(None),
        Some(size) => match usize::try_from(size) {
            Ok(size) if size <= 1 << 24 => Ok(Some(size)),
            _ => Err(fault(format!("the input `{}` has the size {size}", input.name))),
        },
    };
    let (batch, first, second, third) = (known(batch)?, known(first)?, known(second)?, known(third)?);
    let colours = |size: Option<usize>| matches!(size, Some(1 | 3 | 4));
    let channels_last = colours(third) && !colours(first);
    let (channels, height, width) = if channels_last { (third, first, second) } else { (first, second, third) };
    // whole numbers are taken for the bytes of a picture, but those of a quantized network are not
    let bytes = match input.element_type {
        0 | 1 | 10 | 11 | 16 => false,
        2 | 4..=7 | 12 | 13 => true,
        other => {
            let message = format!("the input `{}` has element type {other} of ONNX's list", input.name);
            return Err(fault(message).with_hint("a network takes floats, or whole numbers from 0 to 255 (uint8)"));
        }
    };
    Ok(Input { name: input.name, batch: batch.unwrap_or(1), channels, height, width, channels_last, bytes })
}

/// The name of the one output.
fn output<'a>(graph: &GraphProto<'a>) -> Result<&'a str> {
    match graph.outputs.as_slice() {
        [output] => Ok(output.name),
        outputs => {
            let names: Vec<&str> = outputs.iter().take(SHOWN).map(|output| output.name).collect();
            let message = format!("the graph has {} outputs {names:?}", outputs.len());
            Err(Error::new(Kind::File, message).with_hint("export a network with one output, its logits"))
        }
    }
}

/// The constants of the file by name.
fn initializers<'a>(tensors: Vec<TensorProto<'a>>) -> Result<HashMap<&'a str, TensorProto<'a>>> {
    let mut initializers = HashMap::new();
    for tensor in tensors {
        let name = tensor.name;
        if initializers.insert(name, tensor).is_some() {
            return Err(Error::new(Kind::File, format!("two tensors are called `{name}`")));
        }
    }
    Ok(initializers)
}

/// The constants that are a single number, by name.
fn scalars<'a>(graph: &GraphProto<'a>) -> HashMap<&'a str, f32> {
    let initializers = graph.initializers.iter().map(|tensor| (tensor.name, tensor));
    let constants = graph.nodes.iter().filter(|node| node.op == "Constant").filter_map(|node| {
        let value = node.attributes.iter().find(|attribute| attribute.name == "value")?;
        Some((*node.outputs.first()?, value.tensor.as_deref()?))
    });
    let single = initializers.chain(constants).filter(|(_, tensor)| tensor.dims.iter().all(|size| *size == 1));
    single.filter_map(|(name, tensor)| Some((name, Constant::read(tensor).ok()?.scalar()?))).collect()
}

/// The nodes that the output needs, each after all it reads; in the order of the file if that is one.
fn order<'a>(nodes: &[NodeProto<'a>], output: &'a str, is_given: impl Fn(&str) -> bool) -> Result<Vec<usize>> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if makers.insert(name, at).is_some() || is_given(name) {
                return Err(Error::new(
                    Kind::File,
                    format!("`{name}` is made twice, the second time by `{}`", title(node)),
                ));
            }
        }
    }
    let inputs = |at: usize| nodes[at].inputs.iter().filter(|name| !name.is_empty() && !is_given(name));
    let maker = |name: &str, reader: &str| {
        makers
            .get(name)
            .copied()
            .ok_or_else(|| Error::new(Kind::File, format!("{reader} reads `{name}`, which nothing makes")))
    };

    // depth first without recursion: each entry is a node and those of its inputs that were not visited yet
    let (mut begun, mut done, mut sorted) = (vec![false; nodes.len()], vec![false; nodes.len()], Vec::new());
    let last = maker(output, "the graph's output")?;
    let mut path = vec![(last, inputs(last))];
    begun[last] = true;
    while let Some((at, unseen)) = path.last_mut() {
        let at = *at;
        let Some(name) = unseen.next() else {
            done[at] = true;
            sorted.push(at);
            path.pop();
            continue;
        };
        let next = maker(name, &format!("node `{}`", title(&nodes[at])))?;
        if !begun[next] {
            begun[next] = true;
            path.push((next, inputs(next)));
        } else if !done[next] {
            let cycle = path.iter().map(|(at, _)| *at).skip_while(|at| *at != next);
            let names: Vec<String> = cycle.take(SHOWN).map(|at| format!("`{}`", title(&nodes[at]))).collect();
            let first = names.first().cloned().unwrap_or_default();
            let message = format!("the graph goes round in a cycle: {} reads {first}", names.join(" reads "));
            return Err(Error::new(Kind::File, message));
        }
    }
    let mut in_file = sorted.clone();
    in_file.sort_unstable();
    let sound = in_file.iter().all(|at| inputs(*at).all(|name| makers.get(name).is_some_and(|maker| maker < at)));
    Ok(if sound { in_file } else { sorted })
}

impl<'a> Converter<'a> {
    fn start(&mut self, shape: Vec<usize>, alias: &str) -> Result<usize> {
        let op = Op::Input { channels: shape[0] };
        check_op(&op).and_then(|()| check_shape(&shape)).map_err(|error| error.context("the input"))?;
        self.taken.insert("input".into());
        let aliases = vec![alias.trim().to_owned()];
        self.drafts.push(Draft {
            name: "input".into(),
            aliases,
            op,
            inputs: Vec::new(),
            shape,
            value: alias.to_owned(),
        });
        Ok(0)
    }

    fn node(&mut self, node: &NodeProto<'a>) -> Result<()> {
        if !is_standard(node.domain) {
            return Err(super::operators::unsupported(node));
        }
        for name in &node.inputs {
            if !name.is_empty() && !self.values.contains_key(name) {
                let tensor = self.initializers.get(name);
                let tensor =
                    tensor.ok_or_else(|| Error::new(Kind::File, format!("nothing makes its input `{name}`")))?;
                let constant = Constant::read(tensor)?;
                self.values.insert(name, Value::Constant(constant));
            }
        }
        let attributes = Attributes(&node.attributes);
        let inputs: Vec<Option<Value>> = node.inputs.iter().map(|name| self.values.get(name).cloned()).collect();
        if let Some(constant) = self.constant(node, &attributes, &inputs)? {
            let output = node.outputs.first().copied().unwrap_or_default();
            self.values.insert(output, Value::Constant(constant));
            return Ok(());
        }
        let results = self.operator(node, &attributes, &inputs)?;
        self.values.extend(node.outputs.iter().copied().zip(results));
        Ok(())
    }

    /// The value of a node that needs no image.
    fn constant(
        &mut self,
        node: &NodeProto<'a>,
        attributes: &Attributes<'_>,
        inputs: &[Option<Value>],
    ) -> Result<Option<Constant>> {
        if node.op == "Constant" {
            return given(attributes).map(Some);
        }
        if let ("Shape", [Some(Value::Map(map))]) = (node.op, inputs) {
            let dims = shape_ints(&self.with_batch(map));
            return Constant::ints(part(&dims, attributes, dims.len())).map(Some);
        }
        let constants = inputs.iter().map(|input| match input {
            None => Some(None),
            Some(Value::Constant(constant)) => Some(Some(constant.clone())),
            Some(_) => None,
        });
        match constants.collect::<Option<Vec<Option<Constant>>>>() {
            Some(constants) => fold(node.op, attributes, &constants, &mut self.budget),
            None => Ok(None),
        }
    }

    /// The graph up to the output, without what nothing reads.
    fn finish(mut self, output: &str, wanted: Option<AnswerKind>) -> Result<Finished> {
        let fault = |message: &str| Error::new(Kind::File, format!("the graph's output `{output}` {message}"));
        let Some(Value::Map(map)) = self.values.get(output) else {
            return Err(fault("does not depend on the input"));
        };
        if map.flattened.is_some() {
            return Err(fault("is flattened channels last"));
        }
        let (mut last, found) = self.before_probabilities(map.id, wanted)?;
        if last == 0 {
            return Err(fault("is the input"));
        }
        if let [channels, 1, 1] = self.drafts[last].shape[..] {
            let (name, value) = (self.unique("flatten"), String::new());
            let shape = vec![channels];
            self.drafts.push(Draft { name, aliases: Vec::new(), op: Op::Flatten, inputs: vec![last], shape, value });
            last = self.drafts.len() - 1;
        }
        let outputs = self.drafts[last].shape.first().copied().unwrap_or(0);

        let mut needed = vec![false; self.drafts.len()];
        needed[last] = true;
        needed[0] = true;
        for id in (0..self.drafts.len()).rev().filter(|id| *id <= last) {
            if needed[id] {
                self.drafts[id].inputs.iter().for_each(|input| needed[*input] = true);
            }
        }
        let mut place = vec![0; self.drafts.len()];
        let mut parts = Vec::new();
        for (id, draft) in self.drafts.into_iter().enumerate().filter(|(id, _)| needed[*id]) {
            place[id] = parts.len();
            let inputs = draft.inputs.iter().map(|input| place[*input]).collect();
            parts.push(NodeParts { name: draft.name, aliases: draft.aliases, op: draft.op, inputs });
        }
        keep_ordinals_free(&mut parts);
        let graph = Graph::from_parts(parts)?;
        let read: HashSet<String> = graph.parameters().into_iter().map(|parameter| parameter.name).collect();
        let weights = self.weights.into_iter().filter(|(name, _)| read.contains(name));
        let weights = Weights::new(weights.map(|(name, (_, tensor))| (name, tensor)))?;
        let answer = found.or(wanted).unwrap_or(AnswerKind::of(outputs));
        // several outputs of a linear layer are hardly anything but logits
        let answer_assumed = found.or(wanted).is_none() && outputs == 1;
        Ok(Finished { graph, weights, outputs, answer, answer_assumed })
    }
}

/// A graph with its weights.
struct Finished {
    graph: Graph,
    weights: Weights,
    outputs: usize,
    answer: AnswerKind,
    answer_assumed: bool,
}

/// `conv2` is the second convolution of every network: a node that has such a name without being that is renamed.
fn keep_ordinals_free(parts: &mut [NodeParts]) {
    let ordinals = ordinals(parts.iter().map(|part| &part.op));
    let place: HashMap<&str, usize> = ordinals.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut taken: HashSet<String> = parts.iter().map(|part| part.name.clone()).collect();
    for (at, part) in parts.iter_mut().enumerate() {
        while place.get(part.name.as_str()).is_some_and(|ordinal| *ordinal != at) {
            part.name = format!("onnx:{}", part.name);
            while !taken.insert(part.name.clone()) {
                part.name.push('_');
            }
        }
    }
}

/// The value of a Constant node.
fn given(attributes: &Attributes<'_>) -> Result<Constant> {
    if let Some(tensor) = attributes.tensor("value") {
        return Constant::read(tensor);
    }
    if let Some(value) = attributes.float_or_none("value_float") {
        return Constant::floats(vec![value], &[]);
    }
    if let Some(values) = attributes.floats("value_floats") {
        let dims = [values.len()];
        return Constant::floats(values, &dims);
    }
    if let Some(values) = attributes.ints("value_ints") {
        return Constant::ints(values);
    }
    Constant::ints(vec![attributes.int("value_int", 0)])
}
