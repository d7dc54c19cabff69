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
use super::{Answer, AnswerKind, Graph, InputRecipe, Model, ModelOptions, Op, ResizeRule, Weights};
use crate::error::{Error, Kind, Result};

/// The answers of every network here.
pub const CLASSES: usize = 1000;

/// More answers or channels than this are no sizes of a network.
const LARGEST: usize = 1 << 20;

/// What training programs call the network that they hold.
const HOLDERS: [&str; 3] = ["model.", "net.", "backbone."];

/// A network that can be asked for by name.
#[derive(Debug)]
pub struct Entry {
    /// Its name, torchvision's.
    pub name: &'static str,
    recipe: fn() -> InputRecipe,
    /// The layers that methods look at if none is given.
    pub layers: DefaultLayers,
    /// How an image is made that shows what a part of the network looks for.
    pub visualization: Visualization,
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
    /// Whose Gram matrices are a texture or a style; found in the graph if there are none here.
    pub style: &'static [&'static str],
    /// Whose activations are the content of a picture; found in the graph if it is empty.
    pub content: &'static str,
}

/// How an image is made that shows what a part of a network looks for, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visualization {
    /// The side of the image, in pixels.
    pub size: usize,
    /// Steps of the ascent.
    pub steps: usize,
    /// How far one step of Adam goes, in units of the Fourier parameters.
    pub step_size: f64,
}

impl Visualization {
    /// What suits most networks.
    pub const USUAL: Self = Self { size: 128, steps: 256, step_size: 0.02 };

    /// Of a network with another input than most: its units see more of an image, or nothing below a size.
    const fn sized(size: usize) -> Self {
        Self { size, ..Self::USUAL }
    }
}

/// All networks.
pub const ENTRIES: &[Entry] = &[
    Entry { visualization: Visualization::sized(160), ..network("alexnet", alexnet::alexnet, ["relu4", "relu5"]) },
    vgg_network("vgg11", || vgg::vgg([1, 1, 2, 2, 2], false), "relu5_2"),
    vgg_network("vgg11_bn", || vgg::vgg([1, 1, 2, 2, 2], true), "relu5_2"),
    vgg_network("vgg13", || vgg::vgg([2, 2, 2, 2, 2], false), "relu5_2"),
    vgg_network("vgg13_bn", || vgg::vgg([2, 2, 2, 2, 2], true), "relu5_2"),
    vgg_network("vgg16", || vgg::vgg([2, 2, 3, 3, 3], false), "relu5_3"),
    vgg_network("vgg16_bn", || vgg::vgg([2, 2, 3, 3, 3], true), "relu5_3"),
    vgg_network("vgg19", || vgg::vgg([2, 2, 4, 4, 4], false), "relu5_4"),
    vgg_network("vgg19_bn", || vgg::vgg([2, 2, 4, 4, 4], true), "relu5_4"),
    squeezenet_network("squeezenet1_0", squeezenet::squeezenet1_0),
    squeezenet_network("squeezenet1_1", squeezenet::squeezenet1_1),
    Entry {
        recipe: centred,
        ignored: &["aux1.", "aux2."],
        ..network("googlenet", googlenet::googlenet, ["inception4c", "inception5b"])
    },
    Entry {
        recipe: || InputRecipe { resize: ResizeRule::CenterCrop { shorter: 342 }, ..centred().resized(299, 299) },
        ignored: &["AuxLogits."],
        visualization: Visualization::sized(192),
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
        recipe: efficientnet_lite::recipe,
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

/// The input of torchvision's inception networks: what its `transform_input` makes of the above is pixels from −1 to 1.
fn centred() -> InputRecipe {
    InputRecipe { mean: vec![0.5; 3], std: vec![0.5; 3], ..InputRecipe::torchvision() }
}

const fn network(name: &'static str, build: fn() -> Result<Graph>, [dream, cam]: [&'static str; 2]) -> Entry {
    Entry {
        name,
        recipe: InputRecipe::torchvision,
        layers: DefaultLayers { dream, cam, style: &[], content: "" },
        visualization: Visualization::USUAL,
        build,
        ignored: &[],
        renamed: &[],
    }
}

/// The layers of Gatys, Ecker and Bethge's style transfer, each behind its rectifier.
const fn vgg_network(name: &'static str, build: fn() -> Result<Graph>, cam: &'static str) -> Entry {
    let entry = network(name, build, ["relu4_2", cam]);
    let style = &["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"];
    Entry { layers: DefaultLayers { style, content: "relu4_2", ..entry.layers }, ..entry }
}

const fn squeezenet_network(name: &'static str, build: fn() -> Result<Graph>) -> Entry {
    let entry = network(name, build, ["fire7", "fire9"]);
    let style = &["relu_conv1", "fire2", "fire3", "fire4", "fire5"];
    Entry { layers: DefaultLayers { style, content: "fire5", ..entry.layers }, ..entry }
}

impl Entry {
    /// What it computes.
    pub fn graph(&self) -> Result<Graph> {
        (self.build)()
    }

    /// The input of its published ImageNet weights.
    pub fn recipe(&self) -> InputRecipe {
        (self.recipe)()
    }

    /// What it computes with another number of answers, or of channels of its input.
    ///
    /// # Errors
    /// The network cannot be built.
    pub fn graph_for(&self, answers: usize, channels: usize) -> Result<Graph> {
        let graph = self.graph()?;
        if (answers, channels) == (CLASSES, graph.input_channels()) {
            return Ok(graph);
        }
        let mut parts = graph.to_parts();
        let mut stem = true;
        for part in &mut parts {
            match &mut part.op {
                Op::Input { channels: own } => *own = channels,
                Op::Conv2d(conv) if std::mem::take(&mut stem) => conv.in_channels = channels,
                _ => {}
            }
        }
        match parts.iter_mut().rev().find(|part| !part.op.parameters().is_empty()).map(|part| &mut part.op) {
            Some(Op::Linear(linear)) => linear.out_features = answers,
            Some(Op::Conv2d(conv)) => conv.out_channels = answers,
            _ => return Err(Error::new(Kind::Internal, format!("{} does not end in a linear layer", self.name))),
        }
        Graph::from_parts(parts)
    }

    /// The network with these weights. As many answers as the last layer has weights for, and as many channels as the
    /// first one; recipe and classes are those of ImageNet, or those given.
    ///
    /// # Errors
    /// The weights do not fit: every fault is named. Or the options do not fit the network.
    pub fn model(&self, weights: Weights, options: &ModelOptions) -> Result<Model> {
        let weights = self.adopt(weights)?;
        let parameters = self.graph()?.parameters();
        let size = |name: Option<&str>, axis: usize| {
            let found =
                name.and_then(|name| weights.get(name).ok()).and_then(|tensor| tensor.dims().get(axis).copied());
            found.filter(|size| (1..=LARGEST).contains(size))
        };
        let last = parameters.iter().rev().find(|parameter| parameter.name.ends_with(".weight"));
        let answers = size(last.map(|parameter| parameter.name.as_str()), 0).unwrap_or(CLASSES);
        let channels = size(parameters.first().map(|parameter| parameter.name.as_str()), 1);
        let channels = channels.or(options.channels).unwrap_or(3);
        let graph = self.graph_for(answers, channels)?;
        if let Some(given) = options.channels.filter(|given| *given != channels) {
            let message = format!("`channels` is {given}, but the first layer of the weights takes {channels}");
            return Err(Error::new(Kind::Argument, message).at_argument("channels"));
        }
        let own = if channels == 3 {
            self.recipe()
        } else {
            // nobody publishes how such a network was trained
            let published = self.recipe();
            let plain = InputRecipe::plain(super::Channels::of(channels), published.height, published.width);
            InputRecipe { resize: published.resize, assumed: true, ..plain }
        };
        let kind = options.answer.unwrap_or(AnswerKind::of(answers));
        let answer = Answer::new(kind, options.classes.clone(), answers)?;
        let answer = answer.assumed(options.answer.is_none() && answers == 1);
        Model::new(self.name, graph, weights, answer, options.recipe(own)?)
    }

    /// The weights of a file as the graph names them, without what only serves training: auxiliary classifiers, and how
    /// many batches were seen; and without what a training program's module of another name puts before all names. All
    /// other parameters stay, so that a check finds strangers.
    pub fn adopt(&self, weights: Weights) -> Result<Weights> {
        let weights = weights.inside(&HOLDERS)?;
        let serves_training =
            |name: &str| name.ends_with(".num_batches_tracked") || self.ignored.iter().any(|p| name.starts_with(p));
        let rename = |name: &str| self.renamed.iter().fold(name.to_owned(), |name, [from, to]| name.replace(from, to));
        let kept = weights.iter().filter(|(name, _)| !serves_training(name));
        Weights::new(kept.map(|(name, tensor)| (rename(name), tensor.clone())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
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
            let image = [3, entry.recipe().height, entry.recipe().width];
            assert_eq!(graph.shapes(image, graph.output()).unwrap().pop().unwrap(), [CLASSES], "{}", entry.name);
        }
        assert!(find("resnet19").is_none());
    }

    #[test]
    fn default_layers_exist_and_have_places() {
        for entry in ENTRIES {
            let graph = entry.graph().unwrap();
            let recipe = (entry.recipe)();
            let image = [3, recipe.height, recipe.width];
            for layer in [entry.layers.dream, entry.layers.cam] {
                let id = graph.find(layer).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
                let shape = graph.shapes(image, id).unwrap().pop().unwrap();
                assert!(
                    matches!(shape[..], [_, height, width] if height.min(width) > 3),
                    "{} {layer} {shape:?}",
                    entry.name
                );
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
        let recipe = |name: &str| find(name).unwrap().recipe();
        let torchvision = InputRecipe::torchvision();
        assert_eq!(recipe("resnet50"), torchvision);
        // not the Caffe weights inside the binary
        assert_eq!(recipe("squeezenet1_1"), torchvision);
        let inception = recipe("inception_v3");
        assert_eq!((inception.height, inception.width), (299, 299));
        assert_eq!(inception.resize, ResizeRule::CenterCrop { shorter: 342 });

        // torchvision: normalize, then transform_input
        let pixels = Tensor::new(&[0.2f32, 0.5, 0.9], &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap();
        let input = recipe("googlenet").to_input(&pixels).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (i, pixel) in [0.2f32, 0.5, 0.9].into_iter().enumerate() {
            let (mean, std) = (torchvision.mean[i], torchvision.std[i]);
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
    fn a_head_of_another_size_is_found_from_the_weights() {
        for entry in ENTRIES {
            let graph = entry.graph_for(7, 1).unwrap();
            let zero = |p: crate::model::Parameter| (p.name, Tensor::zeros(p.shape, DType::F32, &Device::Cpu).unwrap());
            let weights = Weights::new(graph.parameters().into_iter().map(zero)).unwrap();
            let model = entry.model(weights, &ModelOptions::default()).unwrap();
            assert_eq!(model.answer().outputs(), 7, "{}", entry.name);
            assert_eq!((model.classes().name(6), model.graph().input_channels()), ("class 6".to_owned(), 1));
            assert!(model.recipe().assumed);
        }
        let random = |options: &ModelOptions| Model::untrained("resnet18", 1, options).unwrap();
        let classes = crate::model::Classes::from_lines("left\nright\nup");
        let model = random(&ModelOptions { classes: Some(classes), channels: Some(1), ..ModelOptions::default() });
        assert_eq!((model.answer().outputs(), model.graph().input_channels()), (3, 1));
    }

    #[test]
    fn what_holds_a_network_is_taken_off_its_names() {
        let entry = find("squeezenet1_1").unwrap();
        let held = |name: String| format!("model.net.{name}");
        entry.adopt(zeros(entry, held, &[])).unwrap().check(&entry.graph().unwrap()).unwrap();
        let error = entry.adopt(zeros(entry, held, &["head.weight"])).unwrap().check(&entry.graph().unwrap());
        assert!(error.unwrap_err().message().contains("is missing"));
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
