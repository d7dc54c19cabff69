//! Percept: see what a convolutional network has learned.
//!
//! The `percept` program speaks a small language; this library is what it is made of. `ARCHITECTURE.md` has the diagram of
//! its layers. In Rust notebooks (evcxr) the values at the root show themselves richly:
//!
//! ```
//! use percept::{Model, image::photo};
//!
//! let model = Model::embedded()?;
//! let x = model.input(&model.view(&photo("coffee")?)?)?;
//! let logits = model.forward(&x, &percept::job::Interrupt::never())?;
//! assert_eq!(logits.dims(), [1, 1000]);
//! # Ok::<(), percept::Error>(())
//! ```
pub mod console;
pub mod data;
pub mod error;
pub mod evcxr;
mod files;
mod hash;
pub mod image;
pub mod job;
pub mod jupyter;
pub mod lang;
pub mod model;
pub mod plot;
pub mod points;
pub mod render;
pub mod repl;
pub mod session;
pub mod tensor;
pub mod train;
pub mod vis;

pub use error::Error;
pub use image::Image;
pub use job::Job;
pub use model::Model;
pub use plot::Plot;
pub use render::{Figure, Heatmap};
pub use session::{Output, Session};
pub use tensor::TensorValue as Tensor;
