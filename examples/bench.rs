//! Percept's side of tools/bench: reads a workload's name on each line of its input, runs it once, and answers with the
//! seconds it took and a number that depends on its result. `peak` answers with the largest memory so far, in MiB.
//!
//!     bench FOLDER      with the weights and inputs that tools/bench/bench.py has written to FOLDER
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use percept::error::{Error, Kind, Result};
use percept::job::Interrupt;
use percept::model::{Model, ModelOptions, Rules};
use percept::session::{Session, Silent, threads, use_threads};

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| Error::new(Kind::Argument, "bench FOLDER"))?;
    use_threads(threads()?)?;
    let mut bench =
        Bench { folder: PathBuf::from(folder), models: HashMap::new(), tensors: HashMap::new(), session: None };
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(broken)?;
        if line == "peak" {
            println!("{{\"peak\": {}}}", peak());
        } else {
            let (seconds, number) = bench.run(&line)?;
            println!("{{\"seconds\": {seconds}, \"number\": {number}}}");
        }
        std::io::stdout().flush().map_err(broken)?;
    }
    Ok(())
}

fn broken(error: std::io::Error) -> Error {
    Error::new(Kind::File, format!("the other side is gone: {error}"))
}

struct Bench {
    folder: PathBuf,
    models: HashMap<String, Model>,
    tensors: HashMap<String, Tensor>,
    session: Option<Session>,
}

impl Bench {
    fn run(&mut self, workload: &str) -> Result<(f64, f64)> {
        match workload {
            "dream" => self.script(
                r#"dream(photo("china").resize(512, 512), layer="fire7", octaves=4, steps=10, normalization="mean", seed=1).to_tensor()"#,
            ),
            "style" => self.script(
                r#"style_transfer(photo("china").resize(256, 256), photo("coffee").resize(256, 256), steps=100, octaves=1).to_tensor()"#,
            ),
            "visualize" => self.script(r#"visualize(channel("fire6", 3), size=128, steps=64, seed=1).to_tensor()"#),
            "occlusion" => self.script("occlusion(img, class=285, window=35, stride=8).values"),
            "integrated_gradients" => {
                self.script(r#"integrated_gradients(img, class=285, steps=50, tolerance=1).values"#)
            }
            "smooth_grad" => self.script("smooth_grad(img, class=285, samples=50, noise=0.15, seed=1).values"),
            "grad_cam" => self.script(r#"grad_cam(img, class=285, layer="fire9").values"#),
            "lrp" => {
                self.script(r#"lrp(img, class=285, composite=#{conv: "epsilon 1e-9", dense: "epsilon 1e-9"}).values"#)
            }
            "rise" => self.script("rise(img, class=285, samples=4000, seed=1).values"),
            "gradient" => {
                let (model, x) = (self.model("vgg16")?, self.input("one")?);
                // the 23rd operation: relu4_3
                let tap = [model.layer("features.22")?.id()];
                timed(|| {
                    let mut canvas = x.clone();
                    for _ in 0..10 {
                        let var = Var::from_tensor(&canvas)?;
                        let y = model.run(&var, &tap, &Rules::default(), &Interrupt::never())?;
                        let gradients = (y[0].sqr()?.sum_all()? * 0.5)?.backward()?;
                        let gradient = gradients.get(&var).ok_or_else(|| Error::new(Kind::Internal, "no gradient"))?;
                        let mean = gradient.abs()?.mean_all()?;
                        canvas = (var.as_tensor().detach() + gradient.broadcast_div(&mean)?.affine(0.01, 0.0)?)?;
                    }
                    Ok(canvas)
                })
            }
            "gallery" => {
                let (model, x) = (Model::embedded()?, self.input("gallery")?);
                let tap = [model.layer("fire9")?.id()];
                timed(|| {
                    // chunks keep the features of all images from being in memory at once
                    let parts = (0..x.dim(0)?).step_by(33).map(|start| {
                        let some = x.narrow(0, start, 33.min(x.dim(0)? - start))?;
                        let y = model.run(&some, &tap, &Rules::default(), &Interrupt::never())?;
                        Ok(y[0].mean((2, 3))?)
                    });
                    Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
                })
            }
            name => {
                let (model, x) = (self.model(name)?, self.input("one")?);
                timed(|| model.forward(&x, &Interrupt::never()))
            }
        }
    }

    /// Runs a line of Percept as a user would, which makes a tensor; `img` is an image.
    fn script(&mut self, line: &str) -> Result<(f64, f64)> {
        let session = match &mut self.session {
            Some(session) => session,
            none => {
                let mut session = Session::new(Rc::new(Silent));
                let photo = self.folder.join("photo.png");
                evaluated(&mut session, &format!("let img = load_image({:?});", photo.display().to_string()))?;
                none.insert(session)
            }
        };
        let started = Instant::now();
        evaluated(session, &format!("let result = {line};"))?;
        let seconds = started.elapsed().as_secs_f64();
        evaluated(session, "let number = result.abs().mean().item();")?;
        let number = session.get("number").and_then(|number| number.as_float().ok());
        Ok((seconds, number.ok_or_else(|| Error::new(Kind::Internal, "the result is no tensor"))?))
    }

    fn model(&mut self, name: &str) -> Result<Model> {
        if let Some(model) = self.models.get(name) {
            return Ok(model.clone());
        }
        let model = Model::from_file(name, &self.folder.join(format!("{name}.safetensors")), &ModelOptions::default())?;
        self.models.insert(name.to_owned(), model.clone());
        Ok(model)
    }

    fn input(&mut self, name: &str) -> Result<Tensor> {
        if let Some(tensor) = self.tensors.get(name) {
            return Ok(tensor.clone());
        }
        let file = candle_core::safetensors::load(self.folder.join("inputs.safetensors"), &Device::Cpu)?;
        self.tensors.extend(file);
        self.tensors.get(name).cloned().ok_or_else(|| Error::new(Kind::File, format!("no input `{name}`")))
    }
}

fn evaluated(session: &mut Session, line: &str) -> Result<()> {
    session.eval(line).error.map_or(Ok(()), Err)
}

fn timed(run: impl Fn() -> Result<Tensor>) -> Result<(f64, f64)> {
    let started = Instant::now();
    let result = run()?;
    let seconds = started.elapsed().as_secs_f64();
    Ok((seconds, f64::from(result.abs()?.mean_all()?.to_scalar::<f32>()?)))
}

/// The largest resident memory of this process so far, in MiB; 0 where the system doesn't say.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}
