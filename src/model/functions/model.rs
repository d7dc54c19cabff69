//! Models by name or from files.

use std::path::Path;

use crate::error::{Error, Kind, Result, did_you_mean};
use crate::lang::{Context, Table, define};
use crate::model::arguments::{model_names, weights_names};
use crate::model::{ChannelOrder, Classes, Model, OnnxOptions, zoo};

/// A model by name or from a file, with the weights inside the program, those of a file, those of the hub, or none that
/// were learned.
///
/// A file of weights is safetensors, or what PyTorch's `torch.save` writes of a state dict (.pth); nothing in it is
/// executed. Its parameters have torchvision's names, and the model takes torchvision's input: 224×224, RGB. The hub's
/// files are fetched once and kept in the folder that Hugging Face's programs share (`HF_HOME`).
///
/// A `.percept` file is a whole model that `save` wrote. An `.onnx` file is a network that PyTorch, Keras or another
/// program has exported; it holds neither the names of its classes nor how its input is made of an image, so these can be
/// given: input = (pixel · range − mean) / std. If none of `mean`, `std` and `range` is given, they are torchvision's for
/// ImageNet; else a mean that is not given is 0, a std 1, a range 1.
///
/// ```rhai
/// model("squeezenet1_1")
/// ```
///
/// ```rhai
/// model("squeezenet1_1", weights="random", seed=1)
/// ```
#[define(name = "model")]
#[expect(clippy::too_many_arguments, reason = "they are the recipe's parts, given by keyword")]
fn model_word(
    cx: &Context<'_>,
    /// The name of a network, of which "squeezenet1_1" is inside the program, or the path of an `.onnx` or `.percept` file.
    #[complete(model_names)]
    name: String,
    /// A file of weights, "hub" (published ones, fetched) or "random" (an untrained network); those inside the program if
    /// not given.
    #[default]
    #[complete(weights_names)]
    weights: Option<String>,
    /// The seed of random weights; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    /// For `.onnx`: a file with the names of the classes, one a line; ImageNet's if there are 1,000 answers.
    #[default]
    #[complete(|context| context.files(&["txt"]))]
    classes: Option<String>,
    /// For `.onnx`: what is subtracted from each channel, in the network's order and range.
    #[default]
    mean: Option<Vec<f64>>,
    /// For `.onnx`: what each channel is divided by then.
    #[default]
    std: Option<Vec<f64>>,
    /// For `.onnx`: the order in which it reads the channels, "rgb" (if not given) or "bgr".
    #[default]
    order: Option<ChannelOrder>,
    /// For `.onnx`: what white is before the mean is subtracted, 1 or 255.
    #[default]
    range: Option<f64>,
    /// For `.onnx`: height and width of its input, where the file leaves them open.
    #[default]
    size: Option<usize>,
) -> Result<Model> {
    let given = classes.is_some() || order.is_some() || range.is_some() || size.is_some();
    let given = given || mean.is_some() || std.is_some();
    let path = Path::new(&name);
    if path.extension().is_some_and(|ending| ending == "onnx" || ending == "percept") {
        if weights.is_some() || seed.is_some() {
            let message = format!("`{name}` has its own weights");
            return Err(Error::new(Kind::Argument, message).at_argument("weights"));
        }
        let classes = classes.map(|path| Classes::read(Path::new(&path)).map_err(|error| error.at_argument("classes")));
        let options = OnnxOptions {
            classes: classes.transpose()?,
            mean: mean.map(|mean| three(&mean, "mean")).transpose()?,
            std: std.map(|std| three(&std, "std")).transpose()?,
            order,
            range,
            size,
        };
        return Model::open(path, given.then_some(&options)).map_err(|error| error.at_argument("name"));
    }
    if given {
        let message = format!("`{name}` has its own classes and recipe");
        return Err(Error::new(Kind::Argument, message).with_hint("those of an .onnx file can be given"));
    }
    if seed.is_some() && weights.as_deref() != Some("random") {
        let error = Error::new(Kind::Argument, "model: only random weights have a seed");
        return Err(error.with_hint("give weights=\"random\" too, or leave out `seed`").at_argument("seed"));
    }
    let found = match weights.as_deref() {
        None => Model::named(&name),
        Some("random") => Model::untrained(&name, cx.seed(seed)),
        Some("hub") => fetched(cx, &name),
        Some(path) => {
            Model::from_file(&name, Path::new(path)).map_err(|error| match did_you_mean(path, ["hub", "random"]) {
                Some(hint) if !Path::new(path).exists() => error.with_hint(hint),
                _ => error,
            })
        }
    };
    found.map_err(|error| error.at_argument("weights"))
}

/// A model with weights from the hub, whose coming is shown in megabytes.
fn fetched(cx: &Context<'_>, name: &str) -> Result<Model> {
    let megabytes = |bytes: u64| (bytes / 1_000_000) as usize;
    let mut shown = None;
    Model::from_hub(name, &mut |done, total| {
        cx.interrupt().check()?;
        if total == 0 {
            return Ok(());
        }
        let (progress, before) =
            shown.get_or_insert_with(|| (cx.progress(&format!("{name}, MB"), megabytes(total)), 0));
        progress.advance(megabytes(done) - std::mem::replace(before, megabytes(done)))
    })
}

/// One number per channel.
fn three(numbers: &[f64], parameter: &str) -> Result<[f32; 3]> {
    match numbers {
        [red, green, blue] => Ok([*red as f32, *green as f32, *blue as f32]),
        _ => {
            let message = format!("`{parameter}` has {} numbers; there are 3 channels", numbers.len());
            Err(Error::new(Kind::Argument, message).at_argument(parameter))
        }
    }
}

/// The networks that can be asked for by name.
///
/// ```rhai
/// models()
/// ```
#[define]
fn models() -> Result<Table> {
    let mut table = Table::new(&["network", "parameters", "input", "weights"]);
    for entry in zoo::ENTRIES {
        let parameters = entry.graph()?.parameters();
        let count: usize = parameters.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum();
        let weights = if entry.name == Model::EMBEDDED { "in the program" } else { "weights=…" };
        let size = format!("{0}×{0}", entry.recipe.size);
        table.rows.push(vec![
            entry.name.into(),
            i64::try_from(count).unwrap_or(i64::MAX).into(),
            size.into(),
            weights.into(),
        ]);
    }
    Ok(table)
}
