//! `bert devices`: where models can run.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::{BackendInfo, Precision};
use bert_tasks::{Device, DeviceOptions};
use clap::Args;
use serde::Serialize;

use crate::error::{Result, describe};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style;

/// List the devices that this build and this machine have
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  bert devices --json")]
pub struct DevicesCommand {
    #[command(flatten)]
    output: OutputArgs,
}

impl DevicesCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let mut sink = Sink::open(&self.output, true, reporter)?;
        let mut chosen = Device::auto().ok().map(|device| device.info());
        for word in Device::words() {
            sink.write(None, &Row::new(word, &mut chosen))?;
        }
        sink.finish()?;
        Ok(Outcome::Done)
    }
}

/// What is known of a device.
#[derive(Serialize)]
pub struct Row {
    /// The word for `--device`.
    device: String,
    /// Whether it can be used.
    available: bool,
    /// Whether `--device auto` takes it.
    auto: bool,
    /// The hardware, or why there is none.
    description: String,
    features: Vec<String>,
    threads: Option<usize>,
    precisions: Vec<String>,
    /// Those of the precisions that are right but no faster than f32.
    emulated: Vec<String>,
}

impl Row {
    /// Opens a device to see what it is. The first that is like the `chosen` one takes its place.
    fn new(device: String, chosen: &mut Option<BackendInfo>) -> Self {
        match Device::open(&device, DeviceOptions::default()) {
            Ok(found) => {
                let info = found.info();
                let auto = chosen.take_if(|chosen| *chosen == info).is_some();
                let names = |precisions: &[Precision]| precisions.iter().map(ToString::to_string).collect();
                let (precisions, emulated) = (names(&info.precisions), names(&info.emulated));
                let (description, features, threads) = (info.device, info.features, info.threads);
                Self { device, available: true, auto, description, features, threads, precisions, emulated }
            }
            Err(error) => Self {
                device,
                available: false,
                auto: false,
                description: match error {
                    bert_tasks::Error::NoDevice { reason, .. } => reason,
                    bert_tasks::Error::Backend { source, .. } => describe(&*source),
                    error => describe(&error),
                },
                features: vec![],
                threads: None,
                precisions: vec![],
                emulated: vec![],
            },
        }
    }
}

impl Record for Row {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["device", "available", "auto", "description", "features", "threads", "precisions", "emulated"]
            .map(Cow::Borrowed)
            .to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        vec![vec![
            self.device.clone(),
            self.available.to_string(),
            self.auto.to_string(),
            self.description.clone(),
            self.features.join(" "),
            self.threads.map(|threads| threads.to_string()).unwrap_or_default(),
            self.precisions.join(" "),
            self.emulated.join(" "),
        ]]
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let name = format!("{:<11}", self.device);
        if !self.available {
            return writeln!(
                page,
                "{}",
                screen.paint(style::FAINT, format_args!("{name}{}", self.description))
            );
        }
        writeln!(page, "{}{}", screen.paint(style::STRONG, name), self.description)?;
        let mut facts = vec![];
        if self.auto {
            facts.push("chosen by auto".to_owned());
        }
        match self.threads {
            Some(1) => facts.push("1 thread".to_owned()),
            Some(threads) => facts.push(format!("{threads} threads")),
            None => {}
        }
        if !self.features.is_empty() {
            facts.push(self.features.join(" "));
        }
        let precision = |name: &String| match self.emulated.contains(name) {
            true => format!("{name} (no faster than f32)"),
            false => name.clone(),
        };
        let precisions: Vec<_> = self.precisions.iter().map(precision).collect();
        facts.push(format!("precisions: {}", precisions.join(" ")));
        writeln!(page, "           {}", facts.join(", "))
    }
}
