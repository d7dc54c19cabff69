//! Models into files.

use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Model;

/// Saves a model in one file (`.percept`): its graph with all names, its weights, its classes and its recipe.
///
/// `model(path)` reads it again, the same bit for bit.
///
/// ```rhai
/// let path = "example.percept";
/// model("squeezenet1_1").save(path);
/// model(path)
/// ```
#[function(name = "save")]
fn save_model(
    job: &Job,
    /// The model.
    model: Model,
    /// The file.
    #[complete(|context| context.files(&["percept"]))]
    path: String,
) -> Result<()> {
    model.save(&job.path(path)).map_err(|error| error.at_argument("path"))
}
