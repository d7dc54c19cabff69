//! Textures and styles that are stopped and go on, and pictures for any number of threads.

use percept::image::photo;
use percept::job::Job;
use percept::model::LayerName;
use percept::vis::ascent::Ended;
use percept::vis::style::{
    Descending, Images, StyleLayers, Texture, TextureOptions, Transfer, TransferOptions, style_transfer, texture,
};
use percept::{Image, error::Kind};

use crate::methods::stopping;

fn picture(name: &str, width: usize, height: usize) -> Image {
    photo(name).unwrap().resize(width, height).unwrap()
}

fn layers() -> StyleLayers {
    let names = ["relu_conv1", "fire2"].map(LayerName::from).to_vec();
    StyleLayers { layers: Some(names), ..StyleLayers::default() }
}

#[test]
fn an_interrupted_texture_goes_on_as_if_nothing_had_happened() {
    let sample = picture("gravel", 64, 48);
    for optimizer in [Descending::Lbfgs, Descending::Adam] {
        let options =
            TextureOptions { steps: 4, octaves: Some(2), seed: Some(3), optimizer, ..TextureOptions::default() };
        let whole = texture(&Job::detached(), &sample, &layers(), &options).unwrap();
        for stop in [1, 3, 5] {
            let mut parts = Texture::new(&Job::detached(), &sample, &layers(), &options).unwrap();
            let mut stops = 0;
            while parts.advance(&stopping(stop)).unwrap() == Ended::Interrupted {
                stops += 1;
                assert!(stops < 20);
                let unfinished = parts.image().unwrap();
                assert_eq!((unfinished.width(), unfinished.height()), (64, 48));
            }
            assert!(stops > 0);
            assert_eq!(parts.image().unwrap(), whole, "{optimizer:?}, stopped every {stop} steps");
        }
    }
}

#[test]
fn an_interrupted_transfer_goes_on_as_if_nothing_had_happened() {
    let (content, style) = (picture("chelsea", 72, 48), Images(vec![picture("coffee", 60, 60)]));
    for optimizer in [Descending::Lbfgs, Descending::Adam] {
        let options =
            TransferOptions { steps: 3, octaves: Some(2), seed: Some(3), optimizer, ..TransferOptions::default() };
        let whole = style_transfer(&Job::detached(), &content, &style, &layers(), &options).unwrap();
        for stop in [1, 2, 4] {
            let mut parts = Transfer::new(&Job::detached(), &content, &style, &layers(), &options).unwrap();
            let mut stops = 0;
            while parts.advance(&stopping(stop)).unwrap() == Ended::Interrupted {
                stops += 1;
                assert!(stops < 20);
                assert_eq!((parts.image().unwrap().width(), parts.image().unwrap().height()), (72, 48));
            }
            assert!(stops > 0);
            assert_eq!(parts.image().unwrap(), whole, "{optimizer:?}, stopped every {stop} steps");
        }
    }
}

/// What was interrupted is found by its image, and only for the call that made it.
#[test]
fn resume_takes_the_call_that_was_interrupted() {
    let (content, style) = (picture("chelsea", 72, 48), Images(vec![picture("coffee", 60, 60)]));
    let options = TransferOptions { steps: 4, octaves: Some(1), ..TransferOptions::default() };
    let whole = style_transfer(&Job::detached(), &content, &style, &layers(), &options).unwrap();
    let unfinished = percept::job::Unfinished::default();
    let job = stopping(2).with_unfinished(unfinished.clone());
    let half = style_transfer(&job, &content, &style, &layers(), &options).unwrap();
    assert!(job.stopped());
    assert_ne!(half, whole);
    let again = || Job::detached().with_unfinished(unfinished.clone());
    let resume = TransferOptions { resume: Some(half), ..options };
    let error = style_transfer(&again(), &picture("china", 72, 48), &style, &layers(), &resume).unwrap_err();
    assert_eq!((error.kind(), error.argument()), (Kind::Argument, Some("resume")));
    let other = TransferOptions { steps: 5, ..resume.clone() };
    assert!(style_transfer(&again(), &content, &style, &layers(), &other).is_err());
    assert_eq!(style_transfer(&again(), &content, &style, &layers(), &resume).unwrap(), whole);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let (content, style) = (picture("chelsea", 160, 120), Images(vec![picture("coffee", 150, 150)]));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (content, style) = (content.clone(), style.clone());
        pool.install(move || {
            let job = Job::detached();
            let options = TransferOptions { steps: 3, octaves: Some(1), tile: Some(120), ..TransferOptions::default() };
            let styled = style_transfer(&job, &content, &style, &StyleLayers::default(), &options).unwrap();
            let options = TextureOptions { steps: 3, octaves: Some(1), seed: Some(1), ..TextureOptions::default() };
            let made = texture(&job, &content, &StyleLayers::default(), &options).unwrap();
            (styled.planes().to_vec(), made.planes().to_vec())
        })
    };
    let one = run(1);
    assert_eq!(run(2), one);
    assert_eq!(run(3), one);
}
