//! Attacks called from Rust: the same whatever the number of threads, and a valid image whenever they are stopped.

use percept::error::{Kind, Result};
use percept::image::photo;
use percept::job::Interrupt;
use percept::vis::fooling::{
    Aim, ApgdOptions, CarliniWagnerOptions, DeepFoolOptions, FoolOptions, Fooled, PatchOptions,
    PerturbationNetworkOptions, PgdOptions, Reach, SquareOptions, UniversalOptions, adversarial_patch, apgd,
    carlini_wagner, deepfool, fool, perturbation_network, pgd, smallest_flip, square_attack, universal_perturbation,
};
use percept::{Image, Job};

use crate::methods::stopping;

fn cat() -> Image {
    photo("chelsea").unwrap()
}

fn koala() -> Aim {
    Aim { target: Some("koala".into()), model: None }
}

fn images() -> Vec<Image> {
    vec![cat(), photo("coffee").unwrap()]
}

/// An attack, for jobs of several kinds.
type Attack = (&'static str, fn(&Job) -> Result<Fooled>);

const ATTACKS: [Attack; 7] = [
    ("fool", |job| fool(job, &cat(), &FoolOptions { steps: 6, ..Default::default() }, &koala())),
    ("pgd", |job| {
        pgd(job, &cat(), &Reach::default(), &PgdOptions { steps: 3, seed: Some(1), ..Default::default() }, &koala())
    }),
    ("apgd", |job| {
        apgd(job, &cat(), &Reach::default(), &ApgdOptions { steps: 3, seed: Some(1), ..Default::default() }, &koala())
    }),
    ("square", |job| {
        let options = SquareOptions { queries: 20, seed: Some(1), ..Default::default() };
        square_attack(job, &cat(), &Reach::default(), &options, &koala())
    }),
    ("deepfool", |job| deepfool(job, &cat(), &DeepFoolOptions::default(), &Aim::default())),
    ("carlini_wagner", |job| {
        let options = CarliniWagnerOptions { steps: 4, ..Default::default() };
        carlini_wagner(job, &cat(), &options, &Aim::default())
    }),
    ("smallest_flip", |job| smallest_flip(job, &cat(), 3, 1, &Aim::default())),
];

#[test]
fn the_number_of_threads_changes_nothing() {
    let pixels = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let job = Job::detached();
            let mut all: Vec<Vec<f32>> =
                ATTACKS.iter().map(|(_, attack)| attack(&job).unwrap().image.planes().to_vec()).collect();
            let options = UniversalOptions { epochs: 1, seed: Some(1), ..Default::default() };
            all.push(universal_perturbation(&job, images(), &options, &Aim::default()).unwrap().delta.to_vec());
            let options = PatchOptions { steps: 2, batch: 2, size: Some(40), seed: Some(1), ..Default::default() };
            all.push(adversarial_patch(&job, images(), &options, &koala()).unwrap().image.planes().to_vec());
            let options =
                PerturbationNetworkOptions { steps: 2, batch: 2, channels: 4, seed: Some(1), ..Default::default() };
            let changer = perturbation_network(&job, images(), &options, &koala()).unwrap();
            all.push(changer.apply(&job, &cat()).unwrap().image.planes().to_vec());
            all
        })
    };
    let one = pixels(1);
    for threads in [2, 3] {
        assert!(pixels(threads) == one, "{threads} threads");
    }
}

/// Stopped after any step, an attack hands back an image of the network's size, whose numbers are its own.
#[test]
fn a_stopped_attack_hands_back_a_valid_image() {
    for (name, attack) in ATTACKS {
        for steps in [1, 2, 4] {
            let job = stopping(steps);
            let found = attack(&job).unwrap_or_else(|error| panic!("{name} after {steps}: {error}"));
            assert_eq!((found.image.width(), found.image.height()), (227, 227), "{name}");
            assert!(found.image.planes().iter().all(|value| (0.0..=1.0).contains(value)), "{name}");
            assert_eq!(found.changed == 0, found.l2 == 0.0, "{name}");
        }
    }
    let stopped = universal_perturbation(&stopping(1), images(), &UniversalOptions::default(), &koala()).unwrap();
    assert!(stopped.results.is_empty() && stopped.delta.len() == 3 * 227 * 227);
    let options = PatchOptions { size: Some(40), batch: 1, ..Default::default() };
    let stopped = adversarial_patch(&stopping(2), images(), &options, &koala()).unwrap();
    assert!(stopped.rates.len() == 2 && stopped.results.is_empty() && stopped.image.width() == 40);
    let options = PerturbationNetworkOptions { batch: 1, channels: 4, ..Default::default() };
    let stopped = perturbation_network(&stopping(2), images(), &options, &koala()).unwrap();
    assert!(stopped.rates.len() == 2 && stopped.results.is_empty());
    assert!(stopped.apply(&Job::detached(), &cat()).unwrap().changed > 0);
}

#[test]
fn before_anything_was_made_a_stop_is_an_error() {
    let interrupt = Interrupt::default();
    interrupt.raise();
    let job = Job::detached().with_interrupt(interrupt);
    for (name, attack) in ATTACKS {
        assert_eq!(attack(&job).unwrap_err().kind(), Kind::Interrupted, "{name}");
    }
}

/// A file that was saved is taken for what the result said.
#[test]
fn a_saved_file_fools_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let found = fool(&Job::detached(), &cat(), &FoolOptions::default(), &koala()).unwrap();
    assert!(found.success && found.taken_for.probability > 0.9 && found.psnr > 35.0, "{found}");
    let path = folder.path().join("koala.png");
    found.image.save(&path).unwrap();
    let answer =
        percept::vis::classify(&Job::detached(), &Image::load(&path).unwrap(), 1, &Default::default()).unwrap();
    let best = answer.ranked.first().unwrap();
    // alone or in a batch, sums round differently
    let apart = (best.probability - found.taken_for.probability).abs();
    assert!(best.name == "koala" && apart < 1e-5, "{best:?} instead of {:?}", found.taken_for);
}
