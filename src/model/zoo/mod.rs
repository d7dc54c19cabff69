//! Known networks, one file per family.
//!
//! Every graph has the parameter names of a published PyTorch network and answers with the 1,000 classes of ImageNet.

mod alexnet;
mod densenet;
mod efficientnet_lite;
mod googlenet;
mod inception;
mod layers;
mod mobilenet;
mod resnet;
pub mod squeezenet;
mod vgg;

use self::resnet::Block;
use super::{ChannelOrder, Classes, Graph, InputRecipe, Model, ResizeRule, Weights};
use crate::error::Result;

/// The answers of every network here.
const CLASSES: usize = 1000;

/// A network that can be asked for by name.
#[derive(Debug)]
pub struct Entry {
    /// Its name, torchvision's.
    pub name: &'static str,
    /// The input of its published ImageNet weights.
    pub recipe: InputRecipe,
    /// The layers that methods look at if none is given.
    pub layers: DefaultLayers,
    build: fn() -> Result<Graph>,
    /// How the names of parameters begin that only serve training.
    ignored: &'static [&'static str],
    /// What stands in published files for part of a name, and the part.
    renamed: &'static [[&'static str; 2]],
}

/// The layers that methods look at if none is given.
#[derive(Clone, Copy, Debug)]
pub struct DefaultLayers {
    /// Whose activations a dream amplifies.
    pub dream: &'static str,
    /// Of class activation maps.
    pub cam: &'static str,
}

/// All networks.
pub const ENTRIES: &[Entry] = &[
    network("alexnet", alexnet::alexnet, ["relu4", "relu5"]),
    network("vgg11", || vgg::vgg([1, 1, 2, 2, 2], false), ["relu4_2", "relu5_2"]),
    network("vgg11_bn", || vgg::vgg([1, 1, 2, 2, 2], true), ["relu4_2", "relu5_2"]),
    network("vgg13", || vgg::vgg([2, 2, 2, 2, 2], false), ["relu4_2", "relu5_2"]),
    network("vgg13_bn", || vgg::vgg([2, 2, 2, 2, 2], true), ["relu4_2", "relu5_2"]),
    network("vgg16", || vgg::vgg([2, 2, 3, 3, 3], false), ["relu4_2", "relu5_3"]),
    network("vgg16_bn", || vgg::vgg([2, 2, 3, 3, 3], true), ["relu4_2", "relu5_3"]),
    network("vgg19", || vgg::vgg([2, 2, 4, 4, 4], false), ["relu4_2", "relu5_4"]),
    network("vgg19_bn", || vgg::vgg([2, 2, 4, 4, 4], true), ["relu4_2", "relu5_4"]),
    network("squeezenet1_0", squeezenet::squeezenet1_0, ["fire7", "fire9"]),
    network("squeezenet1_1", squeezenet::squeezenet1_1, ["fire7", "fire9"]),
    Entry {
        recipe: CENTRED,
        ignored: &["aux1.", "aux2."],
        ..network("googlenet", googlenet::googlenet, ["inception4c", "inception5b"])
    },
    Entry {
        recipe: InputRecipe { size: 299, resize: ResizeRule::CenterCrop { shorter: 342 }, ..CENTRED },
        ignored: &["AuxLogits."],
        ..network("inception_v3", inception::inception_v3, ["Mixed_6b", "Mixed_7c"])
    },
    network("resnet18", || resnet::resnet(Block::Basic, [2, 2, 2, 2]), ["layer3", "layer4"]),
    network("resnet34", || resnet::resnet(Block::Basic, [3, 4, 6, 3]), ["layer3", "layer4"]),
    network("resnet50", || resnet::resnet(Block::Bottleneck, [3, 4, 6, 3]), ["layer3", "layer4"]),
    network("resnet101", || resnet::resnet(Block::Bottleneck, [3, 4, 23, 3]), ["layer3", "layer4"]),
    network("resnet152", || resnet::resnet(Block::Bottleneck, [3, 8, 36, 3]), ["layer3", "layer4"]),
    network("mobilenet_v2", mobilenet::mobilenet_v2, ["features.13", "features.18"]),
    Entry {
        // the published file is older than PyTorch's ban on dots in the names of modules
        renamed: &[[".norm.1.", ".norm1."], [".norm.2.", ".norm2."], [".conv.1.", ".conv1."], [".conv.2.", ".conv2."]],
        ..network("densenet121", densenet::densenet121, ["denseblock3", "features.norm5"])
    },
    Entry {
        recipe: efficientnet_lite::RECIPE,
        ..network("efficientnet_lite0", efficientnet_lite::efficientnet_lite0, ["blocks_10", "_bn1"])
    },
];

/// The networks that can be asked for by name.
pub const NAMES: [&str; ENTRIES.len()] = {
    let mut names = [""; ENTRIES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = ENTRIES[i].name;
        i += 1;
    }
    names
};

/// A network by its name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// The input of most of torchvision's ImageNet weights.
pub const TORCHVISION: InputRecipe = InputRecipe {
    size: 224,
    order: ChannelOrder::Rgb,
    range: 1.0,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    resize: ResizeRule::CenterCrop { shorter: 256 },
};

/// The input of torchvision's inception networks: what its `transform_input` makes of the above is pixels from −1 to 1.
const CENTRED: InputRecipe = InputRecipe { mean: [0.5; 3], std: [0.5; 3], ..TORCHVISION };

const fn network(name: &'static str, build: fn() -> Result<Graph>, [dream, cam]: [&'static str; 2]) -> Entry {
    Entry { name, recipe: TORCHVISION, layers: DefaultLayers { dream, cam }, build, ignored: &[], renamed: &[] }
}

impl Entry {
    /// What it computes.
    pub fn graph(&self) -> Result<Graph> {
        (self.build)()
    }

    /// The network with these weights, its recipe and the classes of ImageNet.
    ///
    /// # Errors
    /// The weights do not fit: every fault is named.
    pub fn model(&self, weights: Weights) -> Result<Model> {
        Model::new(self.name, self.graph()?, self.adopt(weights)?, Classes::imagenet(), self.recipe.clone())
    }

    /// The weights of a published file as the graph names them, without what only serves training: auxiliary
    /// classifiers, and how many batches were seen. All other parameters stay, so that a check finds strangers.
    pub fn adopt(&self, weights: Weights) -> Result<Weights> {
        let serves_training =
            |name: &str| name.ends_with(".num_batches_tracked") || self.ignored.iter().any(|p| name.starts_with(p));
        let rename = |name: &str| self.renamed.iter().fold(name.to_owned(), |name, [from, to]| name.replace(from, to));
        let kept = weights.iter().filter(|(name, _)| !serves_training(name));
        Weights::new(kept.map(|(name, tensor)| (rename(name), tensor.clone())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use candle_core::{DType, Device, Tensor};

    use super::*;

    fn name(network: &str, layer: &str) -> String {
        let graph = find(network).unwrap().graph().unwrap();
        let id = graph.find(layer).unwrap();
        graph.node(id).name.clone()
    }

    #[test]
    fn every_network_is_found_by_its_name() {
        assert_eq!(NAMES.len(), 21);
        assert_eq!(NAMES.iter().collect::<HashSet<_>>().len(), NAMES.len());
        for entry in ENTRIES {
            assert_eq!(find(entry.name).unwrap().name, entry.name);
            let graph = entry.graph().unwrap();
            let image = [3, entry.recipe.size, entry.recipe.size];
            assert_eq!(graph.shapes(image, graph.output()).unwrap().pop().unwrap(), [CLASSES], "{}", entry.name);
        }
        assert!(find("resnet19").is_none());
    }

    #[test]
    fn default_layers_exist_and_have_places() {
        for entry in ENTRIES {
            let graph = entry.graph().unwrap();
            let image = [3, entry.recipe.size, entry.recipe.size];
            for layer in [entry.layers.dream, entry.layers.cam] {
                let id = graph.find(layer).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
                let shape = graph.shapes(image, id).unwrap().pop().unwrap();
                assert!(matches!(shape[..], [_, 4.., 4..]), "{} {layer} {shape:?}", entry.name);
            }
        }
    }

    #[test]
    fn layers_have_the_names_of_papers_and_modules() {
        assert_eq!(name("alexnet", "fc6"), "classifier.1");
        assert_eq!(name("alexnet", "conv5"), "features.10");
        assert_eq!(name("vgg16", "conv1_1"), "features.0");
        assert_eq!(name("vgg16", "relu4_3"), "features.22");
        assert_eq!(name("vgg16", "pool5"), "features.30");
        assert_eq!(name("vgg16_bn", "relu4_3"), "features.32");
        assert_eq!(name("vgg19", "conv5_4"), "features.34");
        assert_eq!(name("vgg19", "fc8"), "classifier.6");
        assert_eq!(name("squeezenet1_0", "fire9"), "features.12");
        assert_eq!(name("squeezenet1_0", "fire4/expand3x3"), "features.5.expand3x3");
        assert_eq!(name("googlenet", "conv1/7x7_s2"), "conv1.conv");
        assert_eq!(name("googlenet", "inception_3a"), "inception3a.cat");
        assert_eq!(name("googlenet", "mixed4d"), "inception4d.cat");
        assert_eq!(name("googlenet", "inception_4d/3x3_reduce"), "inception4d.branch2.0.conv");
        assert_eq!(name("googlenet", "inception_4d/relu_5x5"), "inception4d.branch3.1.relu");
        assert_eq!(name("googlenet", "inception4d.branch3.1"), "inception4d.branch3.1.relu");
        assert_eq!(name("inception_v3", "Mixed_7b"), "Mixed_7b.cat_2");
        assert_eq!(name("inception_v3", "mixed3"), "Mixed_6a.cat");
        assert_eq!(name("inception_v3", "Conv2d_1a_3x3"), "Conv2d_1a_3x3.relu");
        assert_eq!(name("resnet18", "layer1"), "layer1.1.relu_1");
        assert_eq!(name("resnet50", "conv4_x"), "layer3.5.relu_2");
        assert_eq!(name("resnet50", "conv4_1"), "layer3.0.relu_2");
        assert_eq!(name("resnet50", "layer3.0"), "layer3.0.relu_2");
        assert_eq!(name("mobilenet_v2", "bottleneck3"), "features.3.add");
        assert_eq!(name("mobilenet_v2", "features.2"), "features.2.conv.3");
        assert_eq!(name("densenet121", "transition1"), "features.transition1.pool");
        assert_eq!(name("efficientnet_lite0", "blocks_2"), "_blocks.2.add");
        assert_eq!(name("efficientnet_lite0", "_blocks.0"), "_blocks.0._bn2");
    }

    #[test]
    fn recipes_are_those_of_the_published_weights() {
        let recipe = |name: &str| find(name).unwrap().recipe.clone();
        assert_eq!(recipe("resnet50"), TORCHVISION);
        // not the Caffe weights inside the binary
        assert_eq!(recipe("squeezenet1_1"), TORCHVISION);
        let inception = recipe("inception_v3");
        assert_eq!((inception.size, inception.resize), (299, ResizeRule::CenterCrop { shorter: 342 }));

        // torchvision: normalize, then transform_input
        let pixels = Tensor::new(&[0.2f32, 0.5, 0.9], &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap();
        let input = recipe("googlenet").to_input(&pixels).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (i, pixel) in [0.2f32, 0.5, 0.9].into_iter().enumerate() {
            let (mean, std) = (TORCHVISION.mean[i], TORCHVISION.std[i]);
            let truth = (pixel - mean) / std * (std / 0.5) + (mean - 0.5) / 0.5;
            assert!((input[i] - truth).abs() < 1e-6, "{} {truth}", input[i]);
        }
    }

    /// The weights of a network, all zero, with others beside them.
    fn zeros(entry: &Entry, published: impl Fn(String) -> String, others: &[&str]) -> Weights {
        let parameters = entry.graph().unwrap().parameters().into_iter().map(|p| (published(p.name), p.shape));
        let others = others.iter().map(|name| ((*name).to_owned(), vec![1]));
        let zeros =
            |(name, shape): (String, Vec<usize>)| (name, Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap());
        Weights::new(parameters.chain(others).map(zeros)).unwrap()
    }

    #[test]
    fn what_only_serves_training_is_ignored() {
        let accepts = |name: &str, others: &[&str]| {
            let entry = find(name).unwrap();
            let graph = entry.graph().unwrap();
            entry.adopt(zeros(entry, |name| name, others)).unwrap().check(&graph)
        };
        accepts("googlenet", &["aux1.conv.conv.weight", "aux2.fc2.bias"]).unwrap();
        accepts("inception_v3", &["AuxLogits.conv0.conv.weight", "Mixed_5b.branch1x1.bn.num_batches_tracked"]).unwrap();
        let error = accepts("googlenet", &["AuxLogits.fc.weight"]).unwrap_err();
        assert!(error.message().contains("the network has no `AuxLogits.fc.weight` [1]"), "{error}");
        let error = accepts("resnet18", &["aux1.fc.weight"]).unwrap_err();
        assert!(error.message().contains("aux1.fc.weight"), "{error}");
    }

    #[test]
    fn the_published_densenet_has_old_names() {
        let entry = find("densenet121").unwrap();
        let old = |name: String| {
            let (norms, convs) =
                ([("norm1", "norm.1"), ("norm2", "norm.2")], [("conv1", "conv.1"), ("conv2", "conv.2")]);
            norms.into_iter().chain(convs).fold(name, |name, (new, old)| name.replace(new, old))
        };
        let published = zeros(entry, old, &[]);
        assert!(published.get("features.denseblock1.denselayer1.norm.1.running_mean").is_ok());
        entry.adopt(published).unwrap().check(&entry.graph().unwrap()).unwrap();
        entry.adopt(zeros(entry, |name| name, &[])).unwrap().check(&entry.graph().unwrap()).unwrap();
    }
}
