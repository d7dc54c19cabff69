//! Where the values of a run lie in memory.

use super::fusion::{Cut, Draft, DraftWork};
use super::step::{Buffer, Place, Step, Value, Work};
use crate::error::{Error, Kind, Result};
use crate::model::{NodeId, Op};

/// Gives every value its place.
pub(super) struct Layout<'a> {
    cut: &'a Cut<'a>,
    pub(super) buffers: Vec<Buffer>,
    places: Vec<Option<Place>>,
    /// The concatenation of which a node is a part, and its first channel there.
    parents: Vec<Option<(NodeId, usize)>>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(cut: &'a Cut<'a>, drafts: &[Draft]) -> Self {
        let count = cut.shapes.len();
        let mut layout = Self { cut, buffers: Vec::new(), places: vec![None; count], parents: vec![None; count] };
        // the widest first, so that narrower ones find their parts already side by side
        let mut concats: Vec<&Draft> = drafts.iter().filter(|draft| matches!(draft.work, DraftWork::Concat)).collect();
        concats.retain(|concat| cut.may_alias(concat.node));
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
                let node = self.cut.graph.node(*id);
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
            offset += self.cut.shapes[input.index()].first().copied().unwrap_or(0);
        }
        for (input, offset) in parts {
            self.parents[input.index()] = Some((concat.node, offset));
        }
    }

    /// The node whose value passes unchanged to this one.
    fn source(&self, mut id: NodeId) -> NodeId {
        while self.cut.passes(id) {
            id = self.cut.graph.node(id).inputs[0];
        }
        id
    }

    fn of(&self, id: NodeId) -> Result<Place> {
        self.places[id.index()].ok_or_else(|| Error::new(Kind::Internal, "a node has no place in the plan"))
    }

    /// A node's place and shape.
    pub(super) fn value(&self, id: NodeId) -> Result<Value> {
        Ok((self.of(id)?, self.cut.shapes[id.index()].clone()))
    }

    /// A buffer for a node's value alone.
    fn own(&mut self, id: NodeId) -> Place {
        let buffer = Buffer::new(&self.cut.shapes[id.index()]);
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
        let channels = self.cut.shapes[id.index()].first().copied().unwrap_or(0);
        Place { offset: whole.offset + offset, channels, ..whole }
    }

    pub(super) fn place(&mut self, draft: &Draft, steps: &mut Vec<Step>) -> Result<()> {
        let inputs = draft.inputs.iter().map(|id| self.of(*id)).collect::<Result<Vec<Place>>>()?;
        let id = draft.node;
        match &draft.work {
            DraftWork::Given => self.places[id.index()] = Some(self.own(id)),
            DraftWork::Same => self.places[id.index()] = inputs.first().copied(),
            DraftWork::Concat => self.concat(id, &inputs, steps),
            DraftWork::Step(Work::Flatten) if self.is_flat(&inputs) && self.cut.may_alias(id) => {
                self.places[id.index()] = inputs.first().copied()
            }
            DraftWork::Step(work) => {
                let residual = draft.residual.map(|id| self.of(id)).transpose()?;
                let mut output = self.target(id);
                if inputs.iter().chain(&residual).any(|read| read.buffer == output.buffer) {
                    // a step does not read where it writes; the concatenation will copy the result
                    output = self.own(id);
                }
                self.places[id.index()] = Some(output);
                let (activation, rule) = (draft.activation, draft.rule.clone());
                steps.push(Step { residual, activation, rule, ..Step::new(work.clone(), inputs, output, id) });
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
        if let (None, true, Some(first)) =
            (self.places[id.index()], side_by_side && self.cut.may_alias(id), inputs.first())
        {
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
                steps.push(Step::new(Work::Scale(Vec::new()), vec![from], to, id));
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
