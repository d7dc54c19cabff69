//! Methods called from Rust, without a line of the language: the same results, and jobs that stop and go on.

use std::cell::Cell;
use std::rc::Rc;

use crate::common::{session, value};
use candle_core::{Device, Tensor};
use percept::job::{Interrupt, Preview, Report, Reporter};
use percept::model::{LayerName, Model, Rules};
use percept::vis::ascent::{Ascent, Ended, Plan, gradient};
use percept::vis::attribution::saliency;
use percept::vis::objective::{Goal, L2, Objective};
use percept::vis::optimizer::Normalized;
use percept::vis::param::{Param, Pixels};
use percept::vis::representation::activations;
use percept::vis::synthesis::{Dream, DreamOptions, dream};
use percept::vis::transform::{Jitter, Transform};
use percept::vis::{Explain, classify};
use percept::{Image, Job};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn photo(width: usize, height: usize) -> Image {
    percept::image::photo("chelsea").unwrap().resize(width, height).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Raises an interrupt after so many steps.
struct StopAfter {
    steps: Cell<usize>,
    interrupt: Interrupt,
}

impl Reporter for StopAfter {
    fn progress(&self, report: &Report, _: Option<Preview<'_>>) {
        if !report.ended {
            self.steps.set(self.steps.get().saturating_sub(1));
            if self.steps.get() == 0 {
                self.interrupt.raise();
            }
        }
    }
}

/// A job that stops itself after so many steps.
pub fn stopping(steps: usize) -> Job<'static> {
    let interrupt = Interrupt::default();
    let reporter = StopAfter { steps: Cell::new(steps), interrupt: interrupt.clone() };
    Job::detached().with_interrupt(interrupt).with_reporter(Rc::new(reporter))
}

#[path = "../../examples/rust_notebook.rs"]
mod rust_notebook;

#[test]
fn the_code_of_the_rust_notebook_runs() {
    rust_notebook::main().unwrap();
}

#[test]
fn the_rust_notebook_has_the_code_of_its_example() {
    let notebook: serde_json::Value = serde_json::from_str(include_str!("../../notebooks/rust-evcxr.ipynb")).unwrap();
    let cells = notebook["cells"].as_array().unwrap().iter().filter(|cell| cell["cell_type"] == "code");
    let mut example = include_str!("../../examples/rust_notebook.rs");
    let mut count = 0;
    for cell in cells {
        let source: Vec<&str> = cell["source"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        let lines: Vec<&str> =
            source.iter().map(|line| line.trim_end()).filter(|line| !line.starts_with(':')).collect();
        // the notebook shows what a cell ends in
        let shown = if lines.last().unwrap().ends_with(';') { "" } else { ".evcxr_display();" };
        let code: Vec<&str> = example.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
        let (code, wanted) = (code.join("\n"), lines.join("\n") + shown + "\n");
        let found = code.find(&wanted).unwrap_or_else(|| panic!("not in the example, or not in this place:\n{wanted}"));
        // the next cell follows
        let before = code[..found].lines().count() + wanted.lines().count();
        example = &example[example.split_inclusive('\n').take(before).map(str::len).sum::<usize>()..];
        count += 1;
    }
    assert!(count > 3 && example.trim() == "Ok(())\n}", "more code in the example:\n{example}");
}

#[test]
fn rust_and_the_language_give_the_same() {
    let cat = percept::image::photo("chelsea").unwrap();
    let (mut session, _recorder) = session();
    let answer = classify(&Job::detached(), &cat, 5, &Default::default()).unwrap();
    assert_eq!(value(&session.eval("classify(photo(\"chelsea\"))")), answer.to_string());

    let map = saliency(&Job::detached(), &cat.clone().into(), false, &Explain::default()).unwrap();
    let peak = map.map().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let same = session.eval(&format!("abs(saliency(photo(\"chelsea\")).map.max().item() - {peak:.9}) < 0.000001"));
    assert_eq!(value(&same), "true");

    let layer = Model::embedded().unwrap().layer("fire2").unwrap();
    let seen = activations(&Job::detached(), &layer, &cat).unwrap();
    let sum: f64 = values(&seen.values).iter().map(|value| f64::from(*value)).sum();
    let same = session.eval(&format!(
        "abs(layer(\"fire2\").activations(photo(\"chelsea\")).values.sum().item() / {sum} - 1) < 0.00001"
    ));
    assert_eq!(value(&same), "true");
}

#[test]
fn an_interrupted_dream_goes_on_as_if_nothing_had_happened() {
    let image = photo(120, 90);
    let options = DreamOptions {
        octaves: 2,
        steps: 4,
        layer: Some(LayerName::from("fire3")),
        seed: Some(5),
        ..DreamOptions::default()
    };
    let whole = dream(&Job::detached(), &image, &options).unwrap();
    for stop in [1, 2, 3, 4, 5, 7] {
        let mut parts = Dream::new(&Job::detached(), &image, &options).unwrap();
        let mut stops = 0;
        while let Ended::Interrupted = parts.advance(&stopping(stop)).unwrap() {
            stops += 1;
            let unfinished = parts.image().unwrap();
            assert_eq!((unfinished.width(), unfinished.height()), (120, 90));
            assert!(stops < 20);
        }
        assert!(stops > 0, "it was never stopped");
        assert_eq!(parts.image().unwrap(), whole, "stopped every {stop} steps");
    }
}

/// The number that an objective has for one image.
fn value_of(model: &Model, goal: &Goal, image: &Tensor) -> f32 {
    let (job, input) = (Job::detached(), model.recipe().to_input(image).unwrap());
    let taps = goal.taps(&job, model, &input).unwrap();
    let activations = model.run(&input, &taps, &Rules::default(), &Interrupt::never()).unwrap();
    goal.values(&job, model, &activations).unwrap().to_vec1::<f32>().unwrap()[0]
}

#[test]
fn the_objective_improves_within_three_steps() {
    let model = Model::embedded().unwrap();
    for layer in ["conv1", "fire3", "fire7"] {
        let goal = Goal::new(L2 { layer: layer.into() });
        let score = |image: &Tensor| value_of(&model, &goal, image);
        let pixels = Pixels::new(&photo(100, 80).tensor().unwrap()).unwrap();
        let before = score(&pixels.image().unwrap());
        let plan = Plan { transforms: Rc::new([Box::new(Jitter(4))]), ..Plan::new(Normalized { step_size: 0.01 }, 3) };
        let mut ascent = Ascent::new(model.clone(), goal.clone(), Box::new(pixels), plan, 1);
        let job = Job::detached();
        let ended = ascent.climb(&job, &job.progress("ascent", 3)).unwrap();
        assert_eq!(ended, Ended::Finished);
        let after = score(&ascent.image().unwrap());
        assert!(after > 1.01 * before, "{layer}: {before} became {after}");
    }
}

/// The shortcut of L2 is what candle's tape gives.
#[test]
fn an_objectives_gradients_are_those_of_its_value() {
    #[derive(Debug)]
    struct OnTape(L2);
    impl Objective for OnTape {
        fn taps(
            &self,
            job: &Job,
            model: &Model,
            input: &Tensor,
        ) -> percept::error::Result<Vec<percept::model::NodeId>> {
            self.0.taps(job, model, input)
        }
        fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> percept::error::Result<Tensor> {
            self.0.values(job, model, activations)
        }
        fn description(&self, model: &Model) -> String {
            self.0.description(model)
        }
    }
    let (job, model) = (Job::detached(), Model::embedded().unwrap());
    let l2 = L2 { layer: "fire4".into() };
    let image = photo(90, 70).tensor().unwrap();
    let shortcut = values(&gradient(&job, &model, &l2, &image).unwrap());
    let by_tape = values(&gradient(&job, &model, &OnTape(l2), &image).unwrap());
    let most = shortcut.iter().fold(0f32, |most, value| most.max(value.abs()));
    assert!(most > 0.0);
    for (a, b) in shortcut.iter().zip(&by_tape) {
        assert!((a - b).abs() <= 1e-5 * most, "{a} {b}");
    }
}

#[test]
fn the_adjoint_of_jitter_is_exact() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..20 {
        let drawn = Jitter(9).draw(0.0, &mut random);
        let x = Tensor::randn(0f32, 1.0, (1, 3, 17, 23), &Device::Cpu).unwrap();
        let y = Tensor::randn(0f32, 1.0, (1, 3, 17, 23), &Device::Cpu).unwrap();
        let product = |a: &Tensor, b: &Tensor| -> f64 {
            values(a).iter().zip(values(b)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
        };
        let (left, right) = (product(&drawn.apply(&x).unwrap(), &y), product(&x, &drawn.adjoint(&y).unwrap()));
        assert!((left - right).abs() < 1e-9 * left.abs().max(1.0), "{left} {right}");
    }
}

#[test]
fn a_layers_handle_decides_the_network() {
    let mine = Model::untrained("squeezenet1_1", 3, &Default::default()).unwrap();
    let image = photo(80, 80);
    let dreamt = |layer: LayerName, model: Option<Model>| {
        let options =
            DreamOptions { octaves: 1, steps: 2, layer: Some(layer), model, seed: Some(1), ..DreamOptions::default() };
        dream(&Job::detached(), &image, &options)
    };
    let handle = LayerName::from(mine.layer("fire3").unwrap());
    let own = dreamt(handle.clone(), None).unwrap();
    assert_eq!(own, dreamt(LayerName::from("fire3"), Some(mine.clone())).unwrap());
    assert_ne!(own, dreamt(LayerName::from("fire3"), None).unwrap(), "the embedded weights were used");
    let error = dreamt(handle, Some(Model::embedded().unwrap())).unwrap_err();
    assert!(error.to_string().contains("leave out `model`"), "{error}");
}
