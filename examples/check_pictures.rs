//! Checks the pictures of a folder: `cargo run --example check_pictures -- FOLDER COUNT`.
//!
//! There must be at least COUNT of them, each decodes, is not blank and has an uncropped margin.

use std::path::PathBuf;
use std::process::ExitCode;

use percept::error::{Error, Kind, Result};
use percept::image::Image;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "tour".into());
    let least = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1);
    match check(&folder, least) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(folder: &str, least: usize) -> Result<()> {
    let fault = |why: String| Error::new(Kind::File, why);
    let entries = std::fs::read_dir(folder).map_err(|error| fault(format!("cannot read {folder}: {error}")))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    for path in &paths {
        let image = Image::load(path)?;
        let name = path.display();
        if image.width() < 200 || image.height() < 100 {
            return Err(fault(format!("{name} is only {}×{} pixels", image.width(), image.height())));
        }
        let values = image.planes();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32;
        if spread.sqrt() < 0.05 {
            return Err(fault(format!("{name} is blank: its pixels vary by only {:.3}", spread.sqrt())));
        }
        if !margin_is_clear(&image) {
            return Err(fault(format!("{name} is cropped: something touches its edge")));
        }
        println!("{name}: {}×{}, contrast {:.2}", image.width(), image.height(), spread.sqrt());
    }
    if paths.len() < least {
        return Err(fault(format!("{folder} holds {} pictures, at least {least} were expected", paths.len())));
    }
    println!("{} pictures, all fine", paths.len());
    Ok(())
}

/// Is the outermost line of pixels all of one colour?
fn margin_is_clear(image: &Image) -> bool {
    let (width, height) = (image.width(), image.height());
    image.channels().iter().all(|plane| {
        let at = |x: usize, y: usize| plane.get(y * width + x).copied().unwrap_or_default();
        let corner = at(0, 0);
        (0..width).all(|x| at(x, 0) == corner && at(x, height - 1) == corner)
            && (0..height).all(|y| at(0, y) == corner && at(width - 1, y) == corner)
    })
}
