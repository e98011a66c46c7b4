// What is said in a recording, with its times, in Rust.
//
//   cargo run -- ggml-base.bin speech.wav [LANGUAGE]
//
// Shows how to embed nputranscriber: text and its times from an appsink, the
// language from tags, errors from messages. Ctrl-C ends the process.
//
// SPDX-License-Identifier: LGPL-2.1-or-later

use std::io::Write;
use std::process::ExitCode;

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app::{AppSink, AppSinkCallbacks};

// Of a video only the sound is decoded.
const PIPELINE: &str = "filesrc name=source ! decodebin expose-all-streams=false \
    caps=audio/x-raw(ANY) ! nputranscriber name=transcriber ! \
    appsink name=text sync=false caps=text/x-raw,format=utf8";

fn seconds(time: Option<gst::ClockTime>) -> f64 {
    time.map_or(0.0, |time| time.nseconds() as f64 / 1e9)
}

// Called in the streaming thread, which waits for it.
fn on_text(sink: &AppSink) -> Result<gst::FlowSuccess, gst::FlowError> {
    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
    let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
    let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
    let text = std::str::from_utf8(&map).map_err(|_| gst::FlowError::Error)?;
    // The place in the recording: a buffer's own time is that in the segment.
    let begin = sample
        .segment()
        .and_then(|segment| segment.downcast_ref::<gst::ClockTime>())
        .and_then(|segment| segment.to_stream_time(buffer.pts()));
    let end = begin
        .zip(buffer.duration())
        .map(|(begin, length)| begin + length);
    // Nobody reads any more: the stream ends.
    writeln!(
        std::io::stdout(),
        "{:8.2} {:8.2}  {text}",
        seconds(begin),
        seconds(end)
    )
    .map_err(|_| gst::FlowError::Eos)?;
    Ok(gst::FlowSuccess::Ok)
}

// Until the stream ends. An error is what GStreamer says of it.
fn watch(pipeline: &gst::Pipeline) -> Result<(), Box<dyn std::error::Error>> {
    let bus = pipeline.bus().ok_or("there is no bus")?;
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Tag(tag)
                if message.src().is_some_and(|from| from.name() == "text") =>
            {
                if let Some(language) = tag.tags().get::<gst::tags::LanguageCode>() {
                    println!("language: {}", language.get());
                }
            }
            gst::MessageView::Error(error) => {
                return Err(
                    format!("{} ({})", error.error(), error.debug().unwrap_or_default()).into(),
                )
            }
            gst::MessageView::Eos(..) => break,
            _ => (),
        }
    }
    Ok(())
}

fn transcribe(model: &str, audio: &str, language: &str) -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    let pipeline = gst::parse::launch(PIPELINE)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "this is no pipeline")?;
    let named = |name: &str| pipeline.by_name(name).ok_or("an element is missing");
    named("source")?.set_property("location", audio);
    let transcriber = named("transcriber")?;
    transcriber.set_property("model", model);
    transcriber.set_property("language-code", language);
    let sink = named("text")?
        .downcast::<AppSink>()
        .map_err(|_| "this is no appsink")?;
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_text).build());

    // Where this fails, an error is on the bus.
    let _ = pipeline.set_state(gst::State::Playing);
    let result = watch(&pipeline);
    pipeline.set_state(gst::State::Null)?;
    result
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [model, audio] => transcribe(model, audio, "auto"),
        [model, audio, language] => transcribe(model, audio, language),
        _ => Err("usage: transcribe MODEL AUDIO [LANGUAGE]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
