//! What a rectifier cuts off: where a channel is found before that, when it may still be negative.

use super::{Layer, Model, NodeId, Op};

impl Model {
    /// Where the values of a channel of a layer come from before a rectifier has cut off the negative ones: the layer that
    /// the rectifier reads, and the channel's number there. None if the layer's own values are no rectifier's.
    ///
    /// Concatenations, slices and dropout are looked through; with `pooled`, for a mean over all places, means over all
    /// places too.
    pub fn before_rectifier(&self, layer: NodeId, channel: usize, pooled: bool) -> Option<(Layer, usize)> {
        let (mut id, mut channel) = (layer, channel);
        loop {
            let node = self.graph().node(id);
            id = match (&node.op, node.inputs.as_slice()) {
                (Op::Activation(function), [input]) if function.is_rectifier() => {
                    return Some((self.output().sibling(*input), channel));
                }
                (Op::Concat, inputs) => {
                    let mut holder = None;
                    for input in inputs {
                        let channels = self.nominal_shape(*input).first().copied().unwrap_or(0);
                        if channel < channels {
                            holder = Some(*input);
                            break;
                        }
                        channel -= channels;
                    }
                    holder?
                }
                (Op::Narrow { start, .. }, [input]) => {
                    channel += start;
                    *input
                }
                (Op::Dropout, [input]) => *input,
                (Op::AdaptiveAvgPool2d([1, 1]), [input]) if pooled => *input,
                (Op::Flatten, [input]) if matches!(self.nominal_shape(*input), [_] | [_, 1, 1]) => *input,
                _ => return None,
            };
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn before(layer: &str, channel: usize, pooled: bool) -> Option<(String, usize)> {
        let model = Model::embedded().unwrap();
        let id = model.layer(layer).unwrap().id();
        let (found, channel) = model.before_rectifier(id, channel, pooled)?;
        Some((found.name().to_owned(), channel))
    }

    #[test]
    fn a_rectifier_is_looked_behind() {
        let at = |name: &str, channel| Some((name.to_owned(), channel));
        assert_eq!(before("relu1", 5, false), at("features.0", 5));
        assert_eq!(before("fire2", 5, false), at("features.3.expand1x1", 5));
        assert_eq!(before("fire2", 64 + 7, false), at("features.3.expand3x3", 7));
        assert_eq!(before("flatten", 105, true), at("classifier.1", 105));
        assert_eq!(before("flatten", 105, false), None);
        assert_eq!(before("conv1", 5, true), None);
        assert_eq!(before("pool1", 5, true), None);
    }

    /// The rectifier of what is found is what the layer says.
    #[test]
    fn what_is_found_is_what_the_rectifier_reads() {
        use crate::image::photo;
        use crate::job::Interrupt;
        let model = Model::embedded().unwrap();
        let input = model.input(&model.view(&photo("chelsea").unwrap()).unwrap()).unwrap();
        let layer = model.layer("fire5").unwrap();
        let values = |layer: &Layer, channel: usize| -> Vec<f32> {
            let all = layer.activations(&input, &Interrupt::never()).unwrap();
            all.narrow(1, channel, 1).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        for channel in [3, 200] {
            let (found, place) = model.before_rectifier(layer.id(), channel, false).unwrap();
            let before = values(&found, place);
            assert!(before.iter().any(|value| *value < 0.0));
            let rectified: Vec<f32> = before.iter().map(|value| value.max(0.0)).collect();
            let after = values(&layer, channel);
            assert!(rectified.iter().zip(&after).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(1.0)));
        }
    }
}
