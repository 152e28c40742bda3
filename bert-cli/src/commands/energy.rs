//! `bert energy`: what of a machine's energy can be measured, and why not the rest.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::energy::{CarbonIntensity, EnergyMeter, EnergyReport, Figure};
use clap::Args;
use serde::Serialize;

use crate::energy::{EnergyArgs, word};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{self, visible};

/// Explain what energy can be measured on this machine, and why not the rest
#[derive(Args, Debug)]
#[command(after_help = "\
Every command has --energy, which says at its end what it took; training says it for each step, and its
model card has the grams of CO2. Each figure is marked: measured (by a counter), estimated (time and the
power of a core) or absent.

Examples:
  bert energy
  bert embed --input texts.txt --jsonl --energy --region FRA > vectors.jsonl
  bert train classify --train train.tsv --out model --energy --watts 6 --emissions emissions.csv")]
pub struct EnergyCommand {
    #[command(flatten)]
    output: OutputArgs,
}

impl EnergyCommand {
    pub fn run(self, reporter: &Reporter, args: &EnergyArgs) -> Result<Outcome> {
        let mut sink = Sink::open(&self.output, false, reporter)?;
        let meter = EnergyMeter::start(&args.options()).map_err(bert_tasks::Error::from)?;
        sink.write(None, &Means::from(meter.report()))?;
        sink.finish()?;
        Ok(Outcome::Done)
    }
}

/// By what each part is known.
#[derive(Serialize)]
struct Means {
    cpu: Figure,
    gpu: Figure,
    ram: Figure,
    /// Whose energy it is.
    scope: &'static str,
    carbon: Option<CarbonIntensity>,
}

impl From<EnergyReport> for Means {
    fn from(report: EnergyReport) -> Self {
        let EnergyReport { cpu, gpu, ram, carbon, scope, .. } = report;
        Self { cpu, gpu, ram, scope, carbon }
    }
}

impl Means {
    fn parts(&self) -> [(&'static str, &Figure); 3] {
        [("cpu", &self.cpu), ("gpu", &self.gpu), ("memory", &self.ram)]
    }
}

impl Record for Means {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["part", "provenance", "how"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |(part, figure): (&str, &Figure)| {
            vec![part.to_owned(), word(figure.provenance).to_owned(), figure.how.clone()]
        };
        self.parts().map(row).to_vec()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        for (part, figure) in self.parts() {
            let word = screen.paint(style::VALUE, format!("{:<9}", word(figure.provenance)));
            writeln!(page, "  {part:<6}  {word}  {}", visible(&figure.how))?;
        }
        let whose = match self.scope {
            "machine" => "of the whole machine, other programs too",
            _ => "of this process alone",
        };
        writeln!(page, "  figures are {whose}")?;
        if let Some(carbon) = &self.carbon {
            let country = carbon.country.as_deref().unwrap_or("given");
            writeln!(page, "  CO2     {} g/kWh  {country}, {}", carbon.grams_per_kwh, carbon.source)?;
        } else {
            writeln!(page, "  CO2     --region COUNTRY or --carbon-intensity GRAMS gives it")?;
        }
        Ok(())
    }
}
