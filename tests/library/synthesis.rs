//! Images made by gradient ascent, called from Rust: objectives that improve, and ascents that stop and go on.

use std::rc::Rc;

use percept::image::photo;
use percept::job::{Interrupt, Unfinished};
use percept::model::{Model, Rules};
use percept::vis::ascent::{Ascent, Ended, Plan, gradient, picture};
use percept::vis::objective::{
    Between, Channel, ClassScore, Direction, Diversity, FeatureDistance, Goal, Gram, Guided, L2, Neuron, Picture,
    Similarity, Sum, balanced,
};
use percept::vis::optimizer::{Adam, Bands, Momentum, Nadam, Normalized, Optimizer};
use percept::vis::param::{Cppn, Fourier, Laplacian, Param, Phase, Pixels, Shared, Soft, photo_magnitudes};
use percept::vis::synthesis::{
    AscentOptions, DreamOptions, OctaveOrder, Parametrization, Size, Stepping, Transforms, dream, visualize,
};
use percept::vis::transform::{Amount, Blur, Crop, Flip, Jitter, Noise, Pad, Rotate, Scale};
use percept::{Image, Job};

use crate::methods::stopping;

/// Networks with random weights, and a layer of each that has places.
fn networks() -> Vec<(Model, &'static str)> {
    [("squeezenet1_1", "fire3"), ("alexnet", "relu2"), ("resnet18", "layer2")]
        .map(|(name, layer)| (Model::untrained(name, 5, &Default::default()).unwrap(), layer))
        .into()
}

fn image_of(width: usize, height: usize) -> Image {
    photo("china").unwrap().resize(width, height).unwrap()
}

/// The sum of an objective's numbers over images.
fn value_of(model: &Model, goal: &Goal, images: &candle_core::Tensor) -> f32 {
    let (job, input) = (Job::detached(), model.recipe().to_input(images).unwrap());
    let taps = goal.taps(&job, model, &input).unwrap();
    let activations = model.run(&input, &taps, &Rules::default(), &Interrupt::never()).unwrap();
    goal.values(&job, model, &activations).unwrap().to_vec1::<f32>().unwrap().iter().sum()
}

#[test]
fn every_objective_improves_within_three_steps() {
    for (model, layer) in networks() {
        let other = photo("coffee").unwrap().resize(224, 224).unwrap();
        let units = model.layer(layer).unwrap().units();
        let vector = (0..units).map(|unit| if unit % 3 == 0 { 1.0 } else { -0.2 }).collect();
        let channel = |channel| Goal::new(Channel { layer: layer.into(), channel });
        let goals: Vec<(Goal, usize)> = vec![
            (channel(3), 1),
            (Goal::new(Neuron { layer: layer.into(), channel: 3, y: None, x: None }), 1),
            (Goal::new(L2 { layer: layer.into() }), 1),
            (Goal::new(Direction::new(layer.into(), vector, 0.0).unwrap()), 1),
            (Goal::new(ClassScore::of(105)), 1),
            (Goal::new(Similarity::new(other.clone(), Some(layer.into()))), 1),
            (Goal::new(Sum::new(vec![(-1.0, Goal::new(FeatureDistance::new(other.clone(), Some(layer.into()))))])), 1),
            (Goal::new(Sum::new(vec![(-1.0, Goal::new(Gram::new(other.clone(), Some(layer.into()))))])), 1),
            (Goal::new(Guided::new(other.clone(), Some(layer.into()))), 1),
            (Goal::new(Diversity { layer: layer.into() }), 2),
            (balanced(&channel(3), 0.5, layer.into()), 2),
            (Goal::new(Between(channel(3), channel(4))), 2),
            (Goal::new(Sum::new(vec![(-1.0, Goal::new(Picture::TotalVariation))])), 1),
            (Goal::new(Sum::new(vec![(-1.0, Goal::new(Picture::L2))])), 1),
            (Goal::new(Sum::new(vec![(-1.0, Goal::new(Picture::L6))])), 1),
            (Goal::new(Sum::new(vec![(-1.0, Goal::new(Picture::BlurEdges))])), 1),
        ];
        for (goal, images) in goals {
            let noise = Pixels::noise(images, 224, 224, 3).unwrap();
            let start = (image_of(224, 224).tensor().unwrap() * 0.6).unwrap();
            let start = start.broadcast_add(&(noise.values() * 0.4).unwrap()).unwrap();
            let before = value_of(&model, &goal, &start);
            let plan = Plan { redirected: 3, ..Plan::new(Normalized { step_size: 0.002 }, 3) };
            let mut ascent = Ascent::new(model.clone(), goal.clone(), Box::new(Pixels::new(&start).unwrap()), plan, 1);
            let job = Job::detached();
            assert_eq!(ascent.climb(&job, &job.progress("ascent", 3)).unwrap(), Ended::Finished);
            let after = value_of(&model, &goal, &ascent.image().unwrap());
            let name = goal.description(&model);
            assert!(after > before, "{}, {name}: {before} became {after}", model.name());
        }
    }
}

/// Whatever holds, shows and steps the image: stopped anywhere and gone on with, it is the image of an ascent that was not.
#[test]
fn an_ascent_that_was_stopped_goes_on_as_if_nothing_had_happened() {
    let model = Model::embedded().unwrap();
    let goal = || Goal::new(Channel { layer: "fire3".into(), channel: 5 });
    let (width, height) = (60, 48);
    let params: Vec<Box<dyn Param>> = vec![
        Box::new(Fourier::noise(2, width, height, 1).unwrap()),
        Box::new(Laplacian::noise(1, width, height, 3, 1).unwrap()),
        Box::new(Phase::noise(1, width, height, &photo_magnitudes(width, height).unwrap(), 1).unwrap()),
        Box::new(Pixels::noise(1, width, height, 1).unwrap()),
        Box::new(Soft::new(&image_of(width, height).tensor().unwrap()).unwrap()),
        Box::new(Cppn::new(1, width, height, 1).unwrap()),
        Box::new(Shared::noise(2, width, height, 1).unwrap()),
    ];
    let optimizers: Vec<Box<dyn Optimizer>> = vec![
        Box::new(Adam::new(0.05)),
        Box::new(Nadam::new(0.05)),
        Box::new(Momentum::new(0.05, 0.9)),
        Box::new(Normalized { step_size: 0.01 }),
    ];
    let plan = |index: usize| Plan {
        transforms: Rc::new([
            Box::new(Pad::grey(6)),
            Box::new(Jitter(4)),
            Box::new(Scale(Amount::Between(0.9, 1.1))),
            Box::new(Rotate::within(5.0)),
            Box::new(Flip),
            Box::new(Noise { deviation: 0.01 }),
            Box::new(Blur { sigma: 0.5 }),
            Box::new(Crop { least: 0.5, most: 0.9, shrinks: true, spread: Some(0.15), size: 48, count: 2 }),
        ]),
        optimizer: optimizers[index % optimizers.len()].clone(),
        last_step: 0.5,
        redirected: 2,
        ..Plan::new(Normalized { step_size: 0.01 }, 4)
    };
    for (index, param) in params.iter().enumerate() {
        let start = || Ascent::new(model.clone(), goal(), param.clone(), plan(index), 9);
        let job = Job::detached();
        let mut whole = start();
        whole.climb(&job, &job.progress("ascent", 4)).unwrap();
        let mut parts = start();
        let mut stops = 0;
        loop {
            let job = stopping(1 + stops % 2);
            if parts.clone().climb(&job, &job.progress("ascent", 4)).unwrap() == Ended::Finished && stops > 3 {
                break;
            }
            let job = stopping(1);
            if parts.climb(&job, &job.progress("ascent", 4)).unwrap() == Ended::Finished {
                break;
            }
            let unfinished = picture(&parts.image().unwrap()).unwrap();
            assert_eq!(unfinished.height(), height);
            stops += 1;
            assert!(stops < 20);
        }
        assert!(stops > 0, "it was never stopped");
        let pixels = |ascent: &Ascent| ascent.image().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(pixels(&parts), pixels(&whole), "parametrization {index}");
    }
}

#[test]
fn bands_are_an_optimizer_of_images() {
    let model = Model::embedded().unwrap();
    let goal = Goal::new(L2 { layer: "fire5".into() });
    let start = image_of(120, 80).tensor().unwrap();
    let mut ascent = Ascent::new(
        model.clone(),
        goal.clone(),
        Box::new(Soft::new(&start).unwrap()),
        Plan::new(Bands::new(0.01), 3),
        1,
    );
    let job = Job::detached();
    ascent.climb(&job, &job.progress("ascent", 3)).unwrap();
    assert!(value_of(&model, &goal, &ascent.image().unwrap()) > 1.1 * value_of(&model, &goal, &start));
}

/// One seed, one picture, for any number of threads and every parametrization and optimizer.
#[test]
fn a_seed_gives_one_picture_for_any_number_of_threads() {
    let params = [
        Parametrization::Fourier,
        Parametrization::Laplacian,
        Parametrization::Phase,
        Parametrization::Pixels,
        Parametrization::Cppn,
    ];
    let steppings = [Stepping::Adam, Stepping::Nadam, Stepping::Momentum, Stepping::Normalized];
    for (index, param) in params.into_iter().enumerate() {
        let options = AscentOptions {
            size: Some(Size { width: 70, height: 52 }),
            steps: Some(3),
            param,
            optimizer: steppings[index % steppings.len()],
            transforms: if index % 2 == 0 { Transforms::Standard } else { Transforms::Crops },
            seed: Some(4),
            ..AscentOptions::default()
        };
        let made = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let goal = Goal::new(Channel { layer: "fire3".into(), channel: 5 });
                visualize(&Job::detached(), &goal, None, &options).unwrap().planes().to_vec()
            })
        };
        assert_eq!(made(1), made(3), "{param:?}");
    }
}

/// Numbers and gradients of objectives are PyTorch's. tools/golden/objectives.py makes them.
#[test]
fn objectives_are_those_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/objectives.safetensors");
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let (job, model) = (Job::detached(), Model::embedded().unwrap());
    let (images, other) = (&tensors["images"], Image::from_tensor(&tensors["other"]).unwrap());
    let units = model.layer("fire5").unwrap().units();
    let vector: Vec<f32> = (0..units).map(|unit| if unit % 3 == 0 { 1.0 } else { -0.2 }).collect();
    let direction = |power| Goal::new(Direction::new("fire5".into(), vector.clone(), power).unwrap());
    let goals = [
        ("l2", Goal::new(L2 { layer: "fire5".into() })),
        ("channel", Goal::new(Channel { layer: "fire5".into(), channel: 12 })),
        ("direction", direction(0.0)),
        ("direction_cosine", direction(2.0)),
        ("match", Goal::new(FeatureDistance::new(other.clone(), Some("fire5".into())))),
        ("gram", Goal::new(Gram::new(other.clone(), Some("fire5".into())))),
        ("guided", Goal::new(Guided::new(other, Some("fire5".into())))),
        ("diversity", Goal::new(Diversity { layer: "fire5".into() })),
        ("tv", Goal::new(Picture::TotalVariation)),
        ("l2_norm", Goal::new(Picture::L2)),
        ("l6_norm", Goal::new(Picture::L6)),
    ];
    for (name, goal) in goals {
        let input = model.recipe().to_input(images).unwrap();
        let taps = goal.taps(&job, &model, &input).unwrap();
        let activations = model.run(&input, &taps, &Rules::default(), &Interrupt::never()).unwrap();
        let values = goal.values(&job, &model, &activations).unwrap().to_vec1::<f32>().unwrap();
        let truth = tensors[&format!("{name}.values")].to_vec1::<f32>().unwrap();
        for (value, truth) in values.iter().zip(&truth) {
            assert!((value - truth).abs() <= 2e-4 * truth.abs(), "{name}: {value} is not {truth}");
        }
        let gradient = gradient(&job, &model, &*goal, images).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let norm = gradient.iter().map(|slope| f64::from(*slope).powi(2)).sum::<f64>().sqrt();
        let wanted = f64::from(tensors[&format!("{name}.norm")].to_vec1::<f32>().unwrap()[0]);
        assert!((norm - wanted).abs() <= 2e-3 * wanted, "{name}: the gradient's norm {norm} is not {wanted}");
        let truth = tensors[&format!("{name}.gradient")].to_vec1::<f32>().unwrap();
        let off: f64 =
            gradient.iter().step_by(7).zip(&truth).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        let own: f64 = truth.iter().map(|slope| f64::from(*slope).powi(2)).sum::<f64>().sqrt();
        println!("{name}: off by {:.1e}", off / own);
        assert!(off <= 5e-3 * own, "{name}: gradients differ by {off} of {own}");
    }
}

/// `resume=` takes what an interrupted call has returned, and the same call goes on to the same image.
#[test]
fn resume_goes_on_to_the_image_of_a_call_that_was_not_interrupted() {
    let store = Unfinished::default();
    let options = AscentOptions {
        size: Some(Size { width: 48, height: 48 }),
        steps: Some(6),
        seed: Some(3),
        ..AscentOptions::default()
    };
    let goal = Goal::new(Channel { layer: "fire3".into(), channel: 5 });
    let whole = visualize(&Job::detached(), &goal, None, &options).unwrap();
    let mut image = visualize(&stopping(2).with_unfinished(store.clone()), &goal, None, &options).unwrap();
    assert_ne!(image, whole, "it was stopped");
    for _ in 0..10 {
        image = visualize(&stopping(2).with_unfinished(store.clone()), &goal, Some(image), &options).unwrap();
        if image == whole {
            break;
        }
    }
    assert_eq!(image, whole);
    // a finished image, another session's, other arguments
    let again = visualize(&Job::detached().with_unfinished(store.clone()), &goal, Some(image), &options);
    assert!(again.unwrap_err().to_string().contains("was not interrupted in this session"));
    let begun = visualize(&stopping(2).with_unfinished(store.clone()), &goal, None, &options).unwrap();
    let elsewhere = visualize(&Job::detached(), &goal, Some(begun.clone()), &options);
    assert!(elsewhere.unwrap_err().to_string().contains("was not interrupted in this session"));
    let other = AscentOptions { steps: Some(7), ..options };
    let changed = visualize(&Job::detached().with_unfinished(store.clone()), &goal, Some(begun), &other);
    assert!(changed.unwrap_err().to_string().contains("begun with other arguments"));

    let photo = image_of(90, 70);
    let options = DreamOptions {
        octaves: 2,
        steps: 3,
        layer: Some("fire3".into()),
        octave_order: OctaveOrder::UpDown,
        ..DreamOptions::default()
    };
    let seeded = |resume, seed| DreamOptions { resume, seed, ..options.clone() };
    let whole = dream(&Job::detached(), &photo, &seeded(None, Some(4))).unwrap();
    let mut image = dream(&stopping(2).with_unfinished(store.clone()), &photo, &seeded(None, Some(4))).unwrap();
    for _ in 0..10 {
        let job = stopping(2).with_unfinished(store.clone());
        image = dream(&job, &photo, &seeded(Some(image), Some(4))).unwrap();
        if image == whole {
            break;
        }
    }
    assert_eq!(image, whole);
    // a seed that was drawn stays
    let begun = dream(&stopping(2).with_unfinished(store.clone()), &photo, &seeded(None, None)).unwrap();
    let job = Job::detached().with_unfinished(store.clone());
    let ended = dream(&job, &photo, &seeded(Some(begun.clone()), None)).unwrap();
    assert_ne!(ended, begun);
    let other = dream(&job, &image_of(91, 70), &seeded(Some(begun), None));
    assert!(other.unwrap_err().to_string().contains("begun with other arguments"));
}
