//! What is said on standard error: errors, warnings, notices and progress. Standard output is for data.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anstream::AutoStream;
use bert_tasks::PassLog;
use bert_tasks::energy::{EnergyMeter, EnergyReport};
use clap::Args;
use clap::ValueEnum;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::style::{self, Screen, visible};

/// How much is said, and in which colours.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "General")]
pub struct ReporterArgs {
    /// Say nothing on stderr but errors: no notices, warnings, or progress bars
    #[arg(short, long, global = true, env = "BERT_QUIET", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub quiet: bool,

    /// When to use colours; NO_COLOR, CLICOLOR_FORCE and TERM=dumb are obeyed under `auto`
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto")]
    pub color: ColorWhen,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal
    #[default]
    Auto,
    /// In files and pipes too
    Always,
    /// Nowhere
    Never,
}

impl ColorWhen {
    /// Whether this stream gets colours.
    pub fn resolve(self, stream: &impl anstream::stream::RawStream) -> anstream::ColorChoice {
        match self {
            Self::Auto => AutoStream::choice(stream),
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
    }
}

/// The way to standard error.
pub struct Reporter {
    screen: Screen,
    quiet: bool,
    color: ColorWhen,
    bar: RefCell<Option<ProgressBar>>,
    passes: RefCell<Option<PassLog>>,
    energy: RefCell<Option<EnergyMeter>>,
    /// How many texts were answered, or steps made.
    work: Cell<(u64, &'static str)>,
}

impl Reporter {
    /// As the user wants it.
    pub fn new(args: ReporterArgs) -> Self {
        let choice = args.color.resolve(&io::stderr());
        let color = choice != anstream::ColorChoice::Never;
        let screen = Screen { color, terminal: io::stderr().is_terminal(), width: 80 };
        Self {
            screen,
            quiet: args.quiet,
            color: args.color,
            bar: RefCell::default(),
            passes: RefCell::default(),
            energy: RefCell::default(),
            work: Cell::new((0, "text")),
        }
    }

    /// When to use colours on the other streams.
    pub fn color(&self) -> ColorWhen {
        self.color
    }

    /// Whether a progress bar would be seen.
    pub fn shows_progress(&self) -> bool {
        self.screen.terminal && !self.quiet
    }

    /// Something failed.
    pub fn error(&self, message: impl fmt::Display) {
        self.say(&self.screen.paint(style::ERROR, "error:"), message);
    }

    /// What may be done about an error.
    pub fn hint(&self, message: impl fmt::Display) {
        self.say(&self.screen.paint(style::GOOD, "hint:"), message);
    }

    /// A result may not be what it seems.
    pub fn warning(&self, message: impl fmt::Display) {
        if !self.quiet {
            self.say(&self.screen.paint(style::WARNING, "warning:"), message);
        }
    }

    /// Something was chosen or done on the user's behalf.
    pub fn notice(&self, message: impl fmt::Display) {
        if !self.quiet {
            self.say(&self.screen.paint(style::FAINT, "note:"), message);
        }
    }

    /// What [`report`](Self::report) will say.
    pub fn report_at_the_end(&self, log: PassLog) {
        *self.passes.borrow_mut() = Some(log);
    }

    /// What the user wanted to know when all is done. It was asked for, so that `--quiet` does not silence it.
    pub fn report(&self) {
        if let Some(log) = self.passes.take() {
            self.say(&self.screen.paint(style::FAINT, "profile:"), log.totals());
        }
    }

    /// Counts energy from now on, if there is a meter.
    pub fn count_energy(&self, meter: Option<EnergyMeter>) {
        *self.energy.borrow_mut() = meter;
    }

    /// The energy so far, if it is counted.
    pub fn energy(&self) -> Option<EnergyReport> {
        self.energy.borrow().as_ref().map(EnergyMeter::report)
    }

    /// So much was done: what the energy is shared among.
    pub fn add_work(&self, count: u64, what: &'static str) {
        self.work.set((self.work.get().0 + count, what));
    }

    /// What was done so far.
    pub fn work_done(&self) -> (u64, &'static str) {
        self.work.get()
    }

    /// What energy was taken. It was asked for, so that `--quiet` does not silence it.
    pub fn energy_line(&self, message: impl fmt::Display) {
        self.say(&self.screen.paint(style::FAINT, "energy:"), message);
    }

    fn say(&self, kind: &dyn fmt::Display, message: impl fmt::Display) {
        let message = message.to_string();
        let mut lines = message.lines().map(visible);
        let mut text = format!("{kind} {}\n", lines.next().unwrap_or_default());
        lines.for_each(|line| text.push_str(&format!("  {line}\n")));
        // With standard error gone there is nobody left to tell.
        let write = || drop(AutoStream::new(io::stderr(), self.stream_choice()).write_all(text.as_bytes()));
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn stream_choice(&self) -> anstream::ColorChoice {
        if self.screen.color { anstream::ColorChoice::Always } else { anstream::ColorChoice::Never }
    }

    /// The progress of texts: how many, how many a second and, of a file of `size` bytes, how far and how long still. It
    /// shows only if standard error is a terminal.
    pub fn text_bar(&self, size: Option<u64>) -> TextBar<'_> {
        let count = Arc::new(AtomicU64::new(0));
        let bar = self.shows_progress().then(|| {
            let texts = count.clone();
            let said = move |state: &ProgressState, out: &mut dyn fmt::Write| {
                let share = state.len().map(|size| state.pos() as f64 / size.max(1) as f64);
                // A bar that cannot be drawn is no reason to fail.
                let _ = out.write_str(&progress(texts.load(Ordering::Relaxed), share, state.elapsed()));
            };
            let template = match size {
                Some(_) => "{bar:30.cyan/blue} {percent:>3} %  {said}",
                None => "{spinner:.cyan} {said}",
            };
            let style = ProgressStyle::with_template(template);
            self.new_bar(size, style.map(|style| style.with_key("said", said)))
        });
        TextBar { reporter: self, bar, count }
    }

    /// A bar for a download.
    #[cfg(feature = "hub")]
    pub fn byte_bar(&self, file: &str, size: u64) -> Option<ProgressBar> {
        self.shows_progress().then(|| {
            let template = "{msg} {bar:30.cyan/blue} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
            let bar = self.new_bar(Some(size), ProgressStyle::with_template(template));
            bar.set_message(visible(file).into_owned());
            bar
        })
    }

    /// A bar for the steps of a run, which says so once `stop` is set. Its message stands behind the count.
    pub fn step_bar(&self, steps: u64, stop: Arc<AtomicBool>) -> Option<ProgressBar> {
        self.shows_progress().then(|| {
            let stopping = move |_: &ProgressState, out: &mut dyn fmt::Write| {
                if stop.load(Ordering::Relaxed) {
                    let _ = out.write_str("  stopping after this step");
                }
            };
            let template = "{bar:20.cyan/blue} {pos}/{len}  {msg}{stopping}";
            let style = ProgressStyle::with_template(template);
            self.new_bar(Some(steps), style.map(|style| style.with_key("stopping", stopping)))
        })
    }

    fn new_bar(
        &self,
        length: Option<u64>,
        style: Result<ProgressStyle, indicatif::style::TemplateError>,
    ) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━╸─"));
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.bar.borrow_mut() = Some(bar.clone());
        bar
    }

    /// Takes the bar off the screen.
    pub fn end_bar(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// What is said of progress: nothing of speed before there is any, and the time left by the mean speed so far, since
/// texts come in batches.
fn progress(texts: u64, share: Option<f64>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if texts == 0 || seconds < 0.1 {
        return "no result yet".to_owned();
    }
    let rate = texts as f64 / seconds;
    let digits = usize::from(rate < 10.0);
    let mut said = format!("{}, {rate:.digits$} texts/s", style::counted(texts, "text", "texts"));
    if let Some(share) = share.filter(|share| *share > 0.0) {
        let left = (seconds * (1.0 - share.min(1.0)) / share).ceil();
        said += &format!(", {:#} left", HumanDuration(Duration::from_secs(left as u64)));
    }
    said
}

/// The progress of texts through a model.
pub struct TextBar<'a> {
    reporter: &'a Reporter,
    bar: Option<ProgressBar>,
    count: Arc<AtomicU64>,
}

impl TextBar<'_> {
    /// One more text is done; it ended at this byte of the input.
    pub fn advance(&self, end: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(end);
        }
    }
}

impl Drop for TextBar<'_> {
    fn drop(&mut self) {
        if self.bar.is_some() {
            self.reporter.end_bar();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_no_more_than_is_known() {
        let said = |texts, share, seconds| progress(texts, share, Duration::from_secs_f64(seconds));
        assert_eq!(said(0, Some(0.0), 3.0), "no result yet");
        assert_eq!(said(0, None, 3.0), "no result yet");
        assert_eq!(said(1, None, 2.0), "1 text, 0.5 texts/s");
        assert_eq!(said(2000, None, 2.0), "2,000 texts, 1000 texts/s");
        assert_eq!(said(30, Some(0.25), 10.0), "30 texts, 3.0 texts/s, 30s left");
        assert_eq!(said(30, Some(1.5), 1.0), "30 texts, 30 texts/s, 0s left");
    }
}
