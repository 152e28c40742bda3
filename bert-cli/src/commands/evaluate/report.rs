//! How reports screen: a table of figures for people, rows of them in CSV.

use std::borrow::Cow;
use std::io::{self, Write};

use bert_tasks::evaluation::{Comparison, Contestant, Difference, Figure, Interval, Judged, Report};

use crate::output::{Page, Record};
use crate::style::{self, counted, thousands, visible};

impl Record for Report {
    const EXACT: bool = true;

    fn columns(&self) -> Vec<Cow<'static, str>> {
        let mut columns = vec!["figure", "value", "low", "high"];
        if self.comparison.is_some() {
            columns.extend(["compared", "difference", "difference_low", "difference_high"]);
        }
        columns.into_iter().map(Cow::Borrowed).collect()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let ends = |interval: &Option<Interval>| match interval {
            Some(Interval { low, high }) => [low, high].map(ToString::to_string),
            None => Default::default(),
        };
        let row = |(at, Figure { name, value, interval }): (usize, &Figure)| {
            let mut row = vec![name.clone(), value.to_string()];
            row.extend(ends(interval));
            if let Some(Comparison { figures, .. }) = &self.comparison {
                let Difference { second, difference, interval, .. } = &figures[at];
                row.extend([second, difference].map(ToString::to_string));
                row.extend(ends(interval));
            }
            row
        };
        self.figures.iter().enumerate().map(row).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        let screen = page.screen;
        let title = format!("{} on {}", self.task, visible(&self.data));
        writeln!(
            page,
            "{}, {}",
            screen.paint(style::STRONG, title),
            counted(self.examples as u64, "example", "examples")
        )?;
        if let Some(model) = &self.model {
            writeln!(page, "  {}", screen.paint(style::FAINT, described(model)))?;
        }
        page.table(|table| {
            for Figure { name, value, interval } in self.figures.iter().filter(|figure| !is_part(figure)) {
                let value = screen.paint(style::VALUE, number(*value));
                writeln!(table, "  {}\t{value}\t{}", visible(name), between(*interval))?;
            }
            Ok(())
        })?;
        parts(page, &self.figures)?;
        let Some(Comparison { model, figures, changed }) = &self.comparison else { return Ok(()) };
        writeln!(page, "compared with\n  {}", screen.paint(style::FAINT, described(model)))?;
        page.table(|table| {
            // Of single labels, the machine-readable forms tell.
            for Difference { name, second, difference, interval, .. } in
                figures.iter().filter(|figure| !figure.name.ends_with(']'))
            {
                // A difference that is sure is one whose interval is all on one side of 0.
                let sure = interval.is_some_and(|it| it.low > 0.0 || it.high < 0.0);
                let style = match sure.then(|| is_better(name, *difference)).flatten() {
                    Some(true) => style::GOOD,
                    Some(false) => style::BAD,
                    None => style::FAINT,
                };
                let change = screen.paint(style, signed(*difference));
                let name = visible(name);
                writeln!(table, "  {name}\t{}\t{change}\t{}", number(*second), between(*interval))?;
            }
            Ok(())
        })?;
        match changed {
            Some(changed) => {
                let (changed, all) = (thousands(*changed as u64), thousands(self.examples as u64));
                writeln!(page, "  {changed} of {all} answers differ")
            }
            None => Ok(()),
        }
    }
}

/// Whether a difference of a figure is for the better; `None` of thresholds, of which none is better.
fn is_better(name: &str, difference: f64) -> Option<bool> {
    let less_is_better = ["loss", "perplexity"].iter().any(|part| name.contains(part));
    (!name.ends_with("_thresh")).then_some((difference > 0.0) != less_is_better)
}

/// Whether a figure is of one label or type: its name ends with that, in brackets.
fn is_part(figure: &Figure) -> bool {
    figure.name.ends_with(']')
}

/// The figures of single labels or types, which come in threes: precision, recall and F1 in one line.
fn parts(page: &mut Page<'_>, figures: &[Figure]) -> io::Result<()> {
    let parts: Vec<&Figure> = figures.iter().filter(|figure| is_part(figure)).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let screen = page.screen;
    page.table(|table| {
        writeln!(table, "  {}", screen.paint(style::FAINT, "\tprecision\trecall\tf1\tof f1"))?;
        for three in parts.chunks(3) {
            let [precision, recall, f1] = three else { continue };
            let name = part_name(&f1.name);
            let [precision, recall, value] = [precision, recall, f1].map(|figure| number(figure.value));
            writeln!(
                table,
                "  {}\t{precision}\t{recall}\t{value}\t{}",
                visible(&name),
                between(f1.interval)
            )?;
        }
        Ok(())
    })
}

/// What a line of these is called: `lenient PER` for `lenient_f1[PER]`.
fn part_name(f1: &str) -> String {
    let (figure, part) = f1.trim_end_matches(']').split_once('[').unwrap_or(("", f1));
    format!("{} {part}", figure.trim_end_matches("f1").trim_end_matches('_')).trim_start().to_owned()
}

fn described(Contestant { name, precision, device }: &Contestant) -> String {
    format!("{}, {precision}, on {device}", visible(name))
}

/// Signs have a place of their own, so that numbers stand below one another.
fn number(value: f64) -> String {
    if value.is_nan() { " –".to_owned() } else { format!("{value: >8.4}") }
}

fn signed(value: f64) -> String {
    if value.is_nan() { " –".to_owned() } else { format!("{value:+.4}") }
}

fn between(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |Interval { low, high }| format!("{low:.4} to {high:.4}"))
}

impl Record for Judged {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["input", "gold", "answer"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        vec![[&self.input, &self.gold, &self.answer].map(ToString::to_string).to_vec()]
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page, "{} {} {}", self.input, self.gold, self.answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_losses_less_is_better() {
        assert_eq!(is_better("f1", 0.1), Some(true));
        assert_eq!(is_better("pseudo_perplexity", 0.1), Some(false));
        assert_eq!(is_better("best_f1_thresh", 0.1), None);
    }

    #[test]
    fn lines_of_labels_are_called_by_them() {
        assert_eq!([part_name("lenient_f1[PER]"), part_name("f1[a b]")], ["lenient PER", "a b"]);
    }
}
