//! One figure of each kind, to be looked at: written into a folder, or with `-` drawn in the terminal.
//!
//! `cargo run --example gallery_of_figures -- FOLDER|- [NAME]`

use std::io;
use std::path::Path;

use percept::error::{Error, Kind, Result};
use percept::image::{Image, compose, gallery, noise, photo};
use percept::render::{Bar, Bars, Body, Colormap, Figure, Grid, Heatmap, Range, Terminal, Tile, to_png};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "figures".into());
    let wanted = arguments.next();
    for (name, figure) in figures()? {
        if wanted.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        if folder == "-" {
            println!("{}", Terminal::detect().draw(&figure)?);
        } else {
            let png = to_png(&figure.render()?, &[("Description", name)])?;
            write(&Path::new(&folder).join(format!("{name}.png")), &png)
                .map_err(|error| Error::new(Kind::File, format!("`{folder}` cannot be written: {error}")))?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)?;
    println!("{}", path.display());
    Ok(())
}

fn figures() -> Result<Vec<(&'static str, Figure)>> {
    let koala = compose(&photo("grass")?.resize(340, 227)?, &gallery("koala")?, 0.35, 0.5, 0.8)?;
    Ok(vec![
        ("picture", Figure::new(Body::Picture(photo("china")?)).titled("A temple under a pale sky").captioned("china, 640×427. A caption says what to know about the picture, in as many lines as it needs to stay within the width of what it describes.")),
        ("cutout", Figure::new(Body::Picture(gallery("koala")?)).titled("mammal/koala, a cut-out on white, with a title that is longer than its picture is wide")),
        ("heatmap", heatmap(&photo("chelsea")?, 29, 20, Range::Auto, Colormap::Inferno)?.titled("Where the network looks for “Egyptian cat”").captioned("Occlusion with a window of 32 pixels and a stride of 8, filled with the mean colour.")),
        ("heatmap_signed", heatmap(&koala, 25, 17, Range::Symmetric, Colormap::Diverging)?.titled("What speaks for and against “koala”")),
        ("heatmap_alone", Figure::new(Body::Heatmap(Heatmap::new(13, 13, wave(13, 13, 3.0))?.colormap(Colormap::Viridis).label("activation"))).titled("conv5, channel 17")),
        ("heatmaps", Figure::new(Body::Row(vec![
            heatmap(&koala, 25, 17, Range::Auto, Colormap::Magma)?.titled("saliency"),
            heatmap(&koala, 25, 17, Range::Auto, Colormap::Inferno)?.titled("occlusion, with a title that takes two lines"),
            Figure::new(Body::Picture(koala.clone())).titled("input").captioned("A koala on grass."),
        ].into())).titled("Three ways of asking the same question")),
        ("filters", Figure::new(Body::Grid(Grid::new(filters(64)?))).titled("conv1: 64 filters of 3×3").captioned("Each filter is scaled by its own greatest weight; grey is zero.")),
        ("kernels_1x1", kernels(16, 64, 1)?.titled("fire2/squeeze1x1: 16 × 64 kernels of 1×1")),
        ("kernels_3x3", kernels(64, 64, 3)?.titled("64 × 64 kernels of 3×3")),
        ("kernels_tall", kernels(256, 16, 1)?.titled("256 × 16 kernels")),
        ("kernels_few", kernels(3, 4, 5)?.titled("few kernels")),
        ("activations", activations(64, 55)?.titled("conv1 on chelsea: 64 channels of 55×55")),
        ("activations_512", activations(512, 13)?.titled("512 channels of 13×13")),
        ("activations_own", own_scale()?.titled("The eight strongest channels, each on its own scale")),
        ("dreams", Figure::new(Body::Grid(Grid::new(["china", "coffee", "rocket"].iter().map(|n| Ok(Tile::image(photo(n)?).label(*n))).collect::<Result<_>>()?))).titled("three photos")),
        ("noise", Figure::new(Body::Picture(noise(224, 224, 7)?)).titled("noise")),
        ("bars", bars()?.titled("What is in chelsea?")),
        ("row_of_bars", Figure::new(Body::Row(vec![bars()?.titled("before"), bars()?.titled("after")].into()))),
    ])
}

fn wave(width: usize, height: usize, scale: f32) -> Vec<f32> {
    let bump =
        |x: f32, y: f32, cx: f32, cy: f32, r: f32| (-((x - cx).powi(2) + (y - cy).powi(2)) / (2.0 * r * r)).exp();
    (0..width * height)
        .map(|i| {
            let (x, y) = ((i % width) as f32 / width as f32, (i / width) as f32 / height as f32);
            scale
                * (2.6 * bump(x, y, 0.42, 0.45, 0.14) - 0.8 * bump(x, y, 0.8, 0.75, 0.12)
                    + 0.1 * (x * 37.0).sin() * (y * 23.0).cos())
        })
        .collect()
}

fn heatmap(base: &Image, width: usize, height: usize, range: Range, colormap: Colormap) -> Result<Figure> {
    let map = Heatmap::new(width, height, wave(width, height, 3.0))?
        .over(base.clone())
        .range(range)
        .colormap(colormap)
        .label("drop of the koala score (logit)")
        .show_input(true);
    Ok(Figure::new(Body::Heatmap(map)))
}

fn filters(count: usize) -> Result<Vec<Tile>> {
    (0..count)
        .map(|f| {
            let planes = (0..27)
                .map(|i| {
                    let (c, x, y) = (i / 9, (i % 3) as f32 - 1.0, (i / 3 % 3) as f32 - 1.0);
                    let angle = f as f32 * 0.7;
                    0.5 + 0.45 * ((x * angle.cos() + y * angle.sin()) * 1.3 + (c as f32) * 0.4 * (f % 5) as f32).sin()
                })
                .collect();
            Ok(Tile::image(Image::from_planes(3, 3, planes, None)?))
        })
        .collect()
}

fn kernels(outputs: usize, inputs: usize, size: usize) -> Result<Figure> {
    let random = noise(size * inputs, size * outputs, 3)?;
    let values = random.channels()[0];
    let tiles =
        values.chunks_exact(size * size).map(|k| Tile::plane(size, size, k.iter().map(|v| (v - 0.5) * 4.2).collect()));
    let grid = Grid::new(tiles.collect::<Result<_>>()?)
        .matrix(inputs, "output channel", "input channel")
        .range(Range::Symmetric)
        .label("weight");
    Ok(Figure::new(Body::Grid(grid)))
}

fn channels(count: usize, side: usize) -> Result<Vec<Tile>> {
    let photo = photo("chelsea")?.cover(side, side)?;
    let [red, green, blue] = photo.channels();
    (0..count)
        .map(|c| {
            let t = c as f32 * 0.61;
            let values = (0..side * side).map(|i| {
                (2.0 * (red[i] * t.sin() + green[i] * (t * 1.7).cos() + blue[i] * (t * 0.3).sin()) - 0.3).max(0.0)
            });
            Tile::plane(side, side, values.collect())
        })
        .collect()
}

fn activations(count: usize, side: usize) -> Result<Figure> {
    let grid = Grid::new(channels(count, side)?).colormap(Colormap::Viridis).smooth().label("activation");
    Ok(Figure::new(Body::Grid(grid)))
}

fn own_scale() -> Result<Figure> {
    let tiles = channels(8, 55)?.into_iter().enumerate().map(|(i, t)| t.label(format!("channel {}", i * 7)));
    Ok(Figure::new(Body::Grid(Grid::new(tiles.collect()).colormap(Colormap::Viridis).smooth().per_tile_scale())))
}

fn bars() -> Result<Figure> {
    let shares = [
        ("Egyptian cat", 0.6291),
        ("tabby", 0.2046),
        ("tiger cat", 0.127),
        ("black-and-tan coonhound, a long class name", 0.0124),
        ("lynx", 0.00004),
    ];
    let bars = shares.map(|(name, value)| Bar { name: name.into(), value });
    Ok(Figure::new(Body::Bars(Bars::new(bars.into()).thumbnail(photo("chelsea")?))))
}
