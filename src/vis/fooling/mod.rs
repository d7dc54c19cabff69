//! Fooling: images that look the same, and that a network takes for something else.
//!
//! An attack works on the image as the network sees it, at 8 bits: that is the original, and everything is measured
//! against it. Whatever may become the result is rounded to 8 bits before the network looks at it, and the result is
//! encoded as a PNG and read back before it is judged ([`Fooled`]). Sizes are in units of pixels from 0 to 1.
//!
//! `Lens` is the network as a function of pixels, `Victim` the network with its image and what is wanted, `Ball` the
//! perturbations that are allowed and what is left of them at 8 bits, `Search` the loop with the best image so far.

mod apgd;
mod ball;
mod carlini_wagner;
mod crowd;
mod deepfool;
mod fgsm;
mod fool;
mod fooled;
mod lens;
mod loss;
mod patch;
mod perturbation_network;
mod pgd;
mod search;
mod smallest_flip;
mod square;
mod universal;
mod victim;

pub use apgd::{ApgdOptions, apgd};
pub use ball::{Norm, Reach};
pub use carlini_wagner::{CarliniWagnerOptions, carlini_wagner};
pub use deepfool::{DeepFoolOptions, deepfool};
pub use fgsm::fgsm;
pub use fool::{FoolOptions, fool, fooling_from_noise};
pub use fooled::{Change, Fooled, Moment};
pub use loss::Loss;
pub use patch::{Patch, PatchOptions, PatchPlace, adversarial_patch};
pub use perturbation_network::{PerturbationNetwork, PerturbationNetworkOptions, perturbation_network};
pub use pgd::{PgdOptions, pgd};
pub use smallest_flip::smallest_flip;
pub use square::{SquareOptions, square_attack};
pub use universal::{Universal, UniversalOptions, universal_perturbation};
pub use victim::Aim;

#[cfg(test)]
mod tests;
