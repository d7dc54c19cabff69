//! Which weights of which networks are published on the Hugging Face hub.

use crate::error::{Error, Kind, Result};

/// Where the weights of a network are.
#[derive(Debug)]
pub(super) struct Entry {
    /// The network's name.
    pub model: &'static str,
    pub repository: &'static str,
    pub revision: &'static str,
    pub file: &'static str,
    /// How its names begin there, and in torchvision.
    pub renames: &'static [(&'static str, &'static str)],
}

/// timm publishes torchvision's weights. Its ResNets have torchvision's names; its VGGs write the fully connected
/// layers as convolutions and call them otherwise.
const TABLE: [Entry; 13] = [
    vgg("vgg11", "timm/vgg11.tv_in1k"),
    vgg("vgg11_bn", "timm/vgg11_bn.tv_in1k"),
    vgg("vgg13", "timm/vgg13.tv_in1k"),
    vgg("vgg13_bn", "timm/vgg13_bn.tv_in1k"),
    vgg("vgg16", "timm/vgg16.tv_in1k"),
    vgg("vgg16_bn", "timm/vgg16_bn.tv_in1k"),
    vgg("vgg19", "timm/vgg19.tv_in1k"),
    vgg("vgg19_bn", "timm/vgg19_bn.tv_in1k"),
    timm("resnet18", "timm/resnet18.tv_in1k", &[]),
    timm("resnet34", "timm/resnet34.tv_in1k", &[]),
    timm("resnet50", "timm/resnet50.tv_in1k", &[]),
    timm("resnet101", "timm/resnet101.tv_in1k", &[]),
    timm("resnet152", "timm/resnet152.tv_in1k", &[]),
];

const fn vgg(model: &'static str, repository: &'static str) -> Entry {
    let renames =
        &[("pre_logits.fc1.", "classifier.0."), ("pre_logits.fc2.", "classifier.3."), ("head.fc.", "classifier.6.")];
    timm(model, repository, renames)
}

const fn timm(
    model: &'static str,
    repository: &'static str,
    renames: &'static [(&'static str, &'static str)],
) -> Entry {
    Entry { model, repository, revision: "main", file: "model.safetensors", renames }
}

/// The weights of a network.
///
/// # Errors
/// None are known.
pub(super) fn find(model: &str) -> Result<&'static Entry> {
    TABLE.iter().find(|entry| entry.model == model).ok_or_else(|| {
        let names: Vec<&str> = TABLE.iter().map(|entry| entry.model).collect();
        Error::new(Kind::Name, format!("no weights of `{model}` are known on the hub"))
            .with_hint(format!("there are some of {}", names.join(", ")))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_network_once() {
        let names: std::collections::BTreeSet<&str> = TABLE.iter().map(|entry| entry.model).collect();
        assert_eq!(names.len(), TABLE.len());
        let error = find("squeezenet1_1").unwrap_err();
        assert!(error.hint().unwrap().contains("vgg16, "), "{error}");
    }
}
