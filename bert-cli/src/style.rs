//! How things look to a person: colours, widths, and characters that must not reach a terminal.

use std::borrow::Cow;
use std::fmt;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Headings, and what matters most.
pub const STRONG: Style = Style::new().bold();
/// What is there for completeness.
pub const FAINT: Style = Style::new().dimmed();
/// Numbers and bars.
pub const VALUE: Style = AnsiColor::Cyan.on_default();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Errors.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Warnings.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What stands out in a text.
pub const FOUND: Style = AnsiColor::Cyan.on_default().bold();
/// Colours that can be told apart on dark and on bright screens.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// Kinds of things, told apart by their styles in the order in which they appear.
#[derive(Debug, Default)]
pub struct Kinds(Vec<String>);

impl Kinds {
    /// The style of a kind.
    pub fn style(&mut self, kind: &str) -> Style {
        let at = self.0.iter().position(|known| known == kind).unwrap_or_else(|| {
            self.0.push(kind.to_owned());
            self.0.len() - 1
        });
        nth_kind(at)
    }
}

/// The style of the kind of this number, counted from 0. The first 24 of them have one of their own.
pub fn nth_kind(at: usize) -> Style {
    let style = COLORS[at % COLORS.len()].on_default();
    match at / COLORS.len() % 4 {
        0 => style.bold(),
        1 => style.underline(),
        2 => style.bold().underline(),
        _ => style,
    }
}

/// What the output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Whether it shows colours.
    pub color: bool,
    /// Whether a person looks at it, so that long lines should be cut.
    pub terminal: bool,
    /// Its width in cells, if it is a terminal.
    pub width: usize,
}

impl Screen {
    /// Something in a style, where the output shows styles.
    pub fn paint<T: fmt::Display>(self, style: Style, content: T) -> Painted<T> {
        Painted { style: if self.color { style } else { Style::new() }, content }
    }
}

/// Something in a style.
pub struct Painted<T> {
    style: Style,
    content: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { style, content } = self;
        write!(f, "{style}")?;
        // The width and precision of the placeholder are the content's.
        content.fmt(f)?;
        write!(f, "{style:#}")
    }
}

/// A text without anything that would move a terminal's cursor, end a line, or reorder what follows: such
/// characters are shown by their pictures.
pub fn visible(text: &str) -> Cow<'_, str> {
    let picture = |c: char| match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)),
        '\x7f' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some(char::REPLACEMENT_CHARACTER)
        }
        _ => None,
    };
    match text.chars().any(|c| picture(c).is_some()) {
        false => Cow::Borrowed(text),
        true => text.chars().map(|c| picture(c).unwrap_or(c)).collect::<String>().into(),
    }
}

/// How many cells of a terminal a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// A text of at most `cells` cells, with a mark where something was left out.
pub fn shorten(text: &str, cells: usize) -> Cow<'_, str> {
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let mut used = 0;
    let mut short = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > cells {
            break;
        }
        short.push(c);
    }
    short.push('…');
    Cow::Owned(short)
}

/// A bar for a share between 0 and 1, at most `cells` long.
pub fn bar(share: f32, cells: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (cells * 8) as f32).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(PARTS[eighths % 8]);
    bar
}

/// A count of bytes as people say it.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A whole number with its thousands separated.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun, and the verb after it if there is one: `1 text was`, `2,000 texts were`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(visible("plain 🍋 é"), "plain 🍋 é");
        assert_eq!(visible("a\0b\x1b[31m\n\t\x7f"), "a␀b␛[31m␊␉␡");
        let hostile: String =
            ('\0'..='\u{9f}').chain('\u{2028}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').collect();
        assert!(!visible(&hostile).chars().any(char::is_control));
    }

    #[test]
    fn texts_are_cut_by_the_cells_they_take() {
        assert_eq!(shorten("four", 4), "four");
        assert_eq!(shorten("fiver", 4), "fiv…");
        assert_eq!(shorten("漢字漢字", 5), "漢字…");
        assert_eq!(shorten("漢字漢字", 6), "漢字…");
        assert_eq!(shorten("漢字", 1), "…");
    }

    #[test]
    fn kinds_have_styles_of_their_own() {
        let mut kinds = Kinds::default();
        let styles: Vec<Style> = (0..24).map(|kind: i32| kinds.style(&kind.to_string())).collect();
        for (at, style) in styles.iter().enumerate() {
            assert!(!styles[..at].contains(style), "{at}");
            assert_eq!(kinds.style(&at.to_string()), *style);
        }
    }

    #[test]
    fn bars_have_eighths() {
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.53125, 4), "██▏");
        assert_eq!(bar(f32::NAN, 4), "");
        assert_eq!(bar(7.0, 2), "██");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            (bytes(999), bytes(1500), bytes(999_960)),
            ("999 B".into(), "1.5 kB".into(), "1.0 MB".into())
        );
        assert_eq!(
            (thousands(7), thousands(1000), thousands(1_234_567)),
            ("7".into(), "1,000".into(), "1,234,567".into())
        );
        let texts = |count| counted(count, "text was", "texts were");
        assert_eq!(
            (texts(0), texts(1), texts(2000)),
            ("0 texts were".into(), "1 text was".into(), "2,000 texts were".into())
        );
    }
}
