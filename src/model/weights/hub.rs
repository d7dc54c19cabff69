//! Parameters from the Hugging Face hub, with the cargo feature `hub`.
//!
//! Files are kept where Python's `huggingface_hub` keeps and finds them: `~/.cache/huggingface`, or the folder
//! `HF_HOME`. `HF_ENDPOINT` names another hub.

use std::path::PathBuf;

use super::published::{Entry, find};
use super::{Step, Weights};
use crate::error::Result;
#[cfg(not(feature = "hub"))]
use crate::error::{Error, Kind};

impl Weights {
    /// The published weights of a network, fetched unless they are in the cache.
    ///
    /// # Errors
    /// Nothing is known to be published for it, the hub cannot be reached or has no such file, what came has another
    /// SHA-256 than the hub states, or the cache cannot be written. Nothing half written stays behind.
    pub fn from_hub(model: &str, step: Step<'_>) -> Result<Self> {
        let entry = find(model)?;
        let path = fetch(entry, step)?;
        Self::from_file(&path)?.with_torchvision_names(model)
    }

    /// The same parameters under torchvision's names, if they have those that the hub's file of this network uses.
    pub(in crate::model) fn with_torchvision_names(self, model: &str) -> Result<Self> {
        let Ok(entry) = find(model) else { return Ok(self) };
        let rename = |(name, tensor): (String, candle_core::Tensor)| {
            for (theirs, ours) in entry.renames {
                if let Some(part) = name.strip_prefix(theirs) {
                    let tensor = if tensor.rank() > 2 { tensor.flatten_from(1)? } else { tensor };
                    return Ok((format!("{ours}{part}"), tensor));
                }
            }
            Ok((name, tensor))
        };
        Self::new(self.tensors.into_iter().map(rename).collect::<Result<Vec<_>>>()?)
    }
}

#[cfg(not(feature = "hub"))]
fn fetch(entry: &Entry, _: Step<'_>) -> Result<PathBuf> {
    let Entry { repository, revision, file, .. } = entry;
    Err(Error::new(Kind::File, "this program was built without downloads (the cargo feature `hub`)")
        .with_hint(format!("fetch {file} of {repository}, revision {revision}, yourself and give weights=\"{file}\"")))
}

#[cfg(feature = "hub")]
fn fetch(entry: &Entry, step: Step<'_>) -> Result<PathBuf> {
    super::download::fetch(entry, &super::download::Hub::from_environment()?, step)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;

    #[test]
    fn the_names_of_timm_become_torchvisions() {
        let tensor = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let theirs = [
            ("features.0.weight", tensor(&[4, 3, 3, 3])),
            ("pre_logits.fc1.weight", tensor(&[8, 4, 7, 7])),
            ("pre_logits.fc1.bias", tensor(&[8])),
            ("pre_logits.fc2.weight", tensor(&[8, 8, 1, 1])),
            ("head.fc.weight", tensor(&[10, 8])),
        ];
        let weights =
            || Weights::new(theirs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone()))).unwrap();
        let shapes = |weights: Weights| -> Vec<(String, Vec<usize>)> {
            weights.iter().map(|(name, tensor)| (name.to_owned(), tensor.dims().to_vec())).collect()
        };
        let ours = [
            ("classifier.0.bias", vec![8]),
            ("classifier.0.weight", vec![8, 196]),
            ("classifier.3.weight", vec![8, 8]),
            ("classifier.6.weight", vec![10, 8]),
            ("features.0.weight", vec![4, 3, 3, 3]),
        ]
        .map(|(name, shape)| (name.to_owned(), shape));
        assert_eq!(shapes(weights().with_torchvision_names("vgg16").unwrap()), ours);
        assert_eq!(shapes(weights().with_torchvision_names("resnet18").unwrap()), shapes(weights()));
    }
}
