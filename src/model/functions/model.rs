//! Models by name or from files.

use std::path::Path;

use crate::error::{Error, Kind, Result, did_you_mean};
use crate::image::Size;
use crate::lang::{Context, Table, function};
use crate::model::arguments::{ByChannel, ClassNames, model_names, weights_names};
use crate::model::{AnswerKind, Channels, Model, ModelOptions, Resize, zoo};

/// A model by name or from a file, with the weights inside the program, those of a file, those of the hub, or none that
/// were learned.
///
/// A file of weights is safetensors, or what PyTorch's `torch.save` writes of a state dict (.pth); nothing in it is
/// executed. Its parameters have torchvision's names. The last layer may have any number of answers, as after
/// fine-tuning, and the first one any number of channels. The hub's files are fetched once and kept in the folder that
/// Hugging Face's programs share (`HF_HOME`).
///
/// A `.percept` file is a whole model that `save` wrote. An `.onnx` file is a network that PyTorch, Keras or another
/// program has exported; weights in a second file are read if that lies in the same folder or below it.
///
/// Neither a file of weights nor an ONNX file says how its input is made of an image and what its output means. What is
/// found or assumed is shown with the model, and can be given: input = (pixel · range − mean) / std. If none of `mean`,
/// `std` and `range` is given, they are torchvision's for ImageNet where images are in colour and nothing in the network
/// speaks against it; else a mean that is not given is 0, a std 1, a range 1. A grey network takes the luminance of an image
/// (Rec. 601).
///
/// The output is logits: a softmax or a sigmoid at the end of an ONNX file is left out, and `classify` and `probabilities`
/// apply it.
///
/// ```rhai
/// model("squeezenet1_1")
/// ```
///
/// ```rhai
/// model("resnet18", weights="random", seed=1, classes=["left", "right"], size=[96, 64], mean=0.5, std=0.25)
/// ```
#[function(name = "model")]
#[expect(clippy::too_many_arguments, reason = "they are the recipe's parts, given by keyword")]
fn model_function(
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
    /// The names of the classes: a list, or a file with one a line. ImageNet's if there are 1,000 answers. A single
    /// logit takes two names, those of 0 and of 1, or only that of 1.
    #[default]
    #[complete(|context| context.files(&["txt"]))]
    classes: Option<ClassNames>,
    /// What the output is: logits of one class among several ("softmax") or of independent ones ("sigmoid"),
    /// "probabilities" already, or values ("regression"). Found from the last layer if not given; several numbers of a
    /// linear layer are taken for a softmax's logits, one number for a sigmoid's.
    #[default]
    answer: Option<AnswerKind>,
    /// What is subtracted from each channel, in the network's order and range: a number for all, or a list.
    #[default]
    mean: Option<ByChannel>,
    /// What each channel is divided by then: a number for all, or a list.
    #[default]
    std: Option<ByChannel>,
    /// The order in which it reads the channels, "rgb" (if not given) or "bgr"; "grey" if there is one.
    #[default]
    order: Option<Channels>,
    /// How many channels its input has, where the file leaves that open, or for random weights: 1 is grey, 3 colour.
    #[default]
    channels: Option<usize>,
    /// What white is before the mean is subtracted, 1 or 255.
    #[default]
    range: Option<f64>,
    /// The size of its input in pixels, where the file leaves it open: a side, or [width, height].
    #[default]
    size: Option<Size>,
    /// How pictures get that size: "crop" cuts the margin off that torchvision does (256 pixels to 224), "cover" only
    /// what does not fit, "stretch" nothing.
    #[default]
    resize: Option<Resize>,
) -> Result<Model> {
    let options = ModelOptions {
        classes: classes.map(|classes| classes.read(cx)).transpose()?,
        answer,
        channels,
        order,
        mean: mean.map(|mean| mean.0),
        std: std.map(|std| std.0),
        range,
        size: size.map(|size| [size.height, size.width]),
        resize,
    };
    let ending = Path::new(&name).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    if matches!(ending.as_deref(), Some("onnx" | "percept")) {
        if weights.is_some() || seed.is_some() {
            let message = format!("`{name}` has its own weights");
            return Err(Error::new(Kind::Argument, message).at_argument("weights"));
        }
        let options = (!options.is_empty()).then_some(&options);
        return Model::open(&cx.path(&name), options).map_err(|error| error.at_argument("name"));
    }
    if seed.is_some() && weights.as_deref() != Some("random") {
        let error = Error::new(Kind::Argument, "model: only random weights have a seed");
        return Err(error.with_hint("give weights=\"random\" too, or leave out `seed`").at_argument("seed"));
    }
    if matches!(weights.as_deref(), None | Some("hub")) && !options.is_empty() {
        let message = format!("`{name}` has its own classes and recipe");
        let hint = "those of an .onnx file, or of weights of your own, can be given";
        return Err(Error::new(Kind::Argument, message).with_hint(hint));
    }
    let found = match weights.as_deref() {
        None => Model::named(&name),
        Some("random") => Model::untrained(&name, cx.seed(seed), &options),
        Some("hub") => fetched(cx, &name),
        Some(path) => Model::from_file(&name, &cx.path(path), &options).map_err(|error| {
            match did_you_mean(path, ["hub", "random"]) {
                Some(hint) if !cx.path(path).exists() => error.with_hint(hint),
                _ => error,
            }
        }),
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

/// The networks that can be asked for by name.
///
/// ```rhai
/// models()
/// ```
#[function]
fn models() -> Result<Table> {
    let mut table = Table::new(&["network", "parameters", "input", "weights"]);
    for entry in zoo::ENTRIES {
        let parameters = entry.graph()?.parameters();
        let count: usize = parameters.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum();
        let weights = if entry.name == Model::EMBEDDED { "in the program" } else { "weights=…" };
        let recipe = entry.recipe();
        let size = format!("{}×{}", recipe.width, recipe.height);
        table.rows.push(vec![
            entry.name.into(),
            i64::try_from(count).unwrap_or(i64::MAX).into(),
            size.into(),
            weights.into(),
        ]);
    }
    Ok(table)
}
