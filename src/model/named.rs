//! Models by name: the embedded one, those of the zoo with weights of a file, of the hub, or without any.

use std::path::Path;
use std::sync::OnceLock;

use super::{Classes, Model, ModelOptions, Step, Weights, zoo};
use crate::error::{Error, Kind, Result, did_you_mean};

/// The most channels that an untrained network can be built with.
const MOST_CHANNELS: usize = 1024;

/// The weights inside the binary, made lazily.
const EMBEDDED: &[u8] = include_bytes!("../../assets/squeezenet1_1.safetensors");

impl Model {
    /// The name of the network whose weights are in the program.
    pub const EMBEDDED: &'static str = "squeezenet1_1";

    /// SqueezeNet 1.1 trained on ImageNet, from the binary itself; decoded at first use, then shared.
    pub fn embedded() -> Result<Self> {
        static MODEL: OnceLock<Result<Model>> = OnceLock::new();
        MODEL
            .get_or_init(|| {
                let weights = Weights::from_safetensors(EMBEDDED)?;
                let (graph, recipe) = (zoo::squeezenet::squeezenet1_1()?, zoo::squeezenet::recipe());
                Self::new(Self::EMBEDDED, graph, weights, Classes::imagenet(), recipe)
            })
            .clone()
    }

    /// A network by its name, with the weights inside the binary.
    ///
    /// # Errors
    /// There is no such network, or its weights are not in the binary.
    pub fn named(name: &str) -> Result<Self> {
        network(name)?;
        if name == Self::EMBEDDED { Self::embedded() } else { Err(not_embedded(name)) }
    }

    /// A network by its name, with the weights in a file: safetensors, or what `torch.save` wrote of a state dict.
    /// The names are torchvision's, and so is the input, if the options say nothing else. The last layer may have any
    /// number of answers.
    ///
    /// # Errors
    /// There is no such network, the file cannot be read, or it does not fit: every fault is named. Or the options do not
    /// fit the network.
    pub fn from_file(name: &str, path: &Path, options: &ModelOptions) -> Result<Self> {
        let fit = network(name)?.model(Weights::from_file(path)?.with_torchvision_names(name)?, options);
        fit.map_err(|error| error.context(format!("`{}`", path.display())))
    }

    /// A network by its name that has learned nothing; see [`Weights::random`]. Its input is torchvision's, if the options
    /// say nothing else; it has as many answers as there are class names, or 1,000.
    ///
    /// # Errors
    /// There is no such network, or the options do not fit it.
    pub fn untrained(name: &str, seed: u64, options: &ModelOptions) -> Result<Self> {
        let network = network(name)?;
        let answers = options.classes.as_ref().map_or(zoo::CLASSES, Classes::len);
        let channels = options.channels.unwrap_or(3);
        if answers == 0 {
            return Err(Error::new(Kind::Argument, "there are no class names").at_argument("classes"));
        }
        if !(1..=MOST_CHANNELS).contains(&channels) {
            let message = format!("`channels` must be 1 to {MOST_CHANNELS}, not {channels}");
            return Err(Error::new(Kind::Argument, message).at_argument("channels"));
        }
        network.model(Weights::random(&network.graph_for(answers, channels)?, seed)?, options)
    }

    /// A network by its name, with weights from the hub; see [`Weights::from_hub`].
    ///
    /// # Errors
    /// There is no such network, or its weights cannot be fetched.
    pub fn from_hub(name: &str, step: Step<'_>) -> Result<Self> {
        let network = network(name)?;
        network.model(Weights::from_hub(name, step)?, &ModelOptions::default())
    }
}

fn network(name: &str) -> Result<&'static zoo::Entry> {
    zoo::find(name).ok_or_else(|| {
        let hint = did_you_mean(name, zoo::NAMES);
        let hint = hint.unwrap_or_else(|| format!("the models are {}", zoo::NAMES.join(", ")));
        Error::new(Kind::Name, format!("no model is called `{name}`")).with_hint(hint).at_argument("name")
    })
}

fn not_embedded(name: &str) -> Error {
    let hint = format!(
        "give weights=\"{name}.safetensors\" (a file, or a .pth), weights=\"hub\" (fetches them) or weights=\"random\""
    );
    Error::new(Kind::Argument, format!("the weights of {name} are not in the program"))
        .with_hint(hint)
        .at_argument("weights")
}
