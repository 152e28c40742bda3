//! The table of other engines' times: Markdown, a row an engine, a column a case.

use super::results::Engine;

/// Reads the last table of a text; lines around it are left alone.
///
/// A cell begins with the median: `111.0 (109.2..115.1)`, and may end with the peak of memory: `, 3189 MB`. A column's
/// head begins with the name of its case.
pub fn parse(text: &str) -> Vec<Engine> {
    let rows: Vec<Vec<&str>> = text.lines().filter_map(cells).collect();
    let Some(head) = rows.iter().rposition(|row| row[0] == "peer") else { return vec![] };
    let word = |cell: &&str| cell.split_whitespace().next().unwrap_or_default().to_owned();
    let cases: Vec<_> = rows[head][1..].iter().map(word).collect();
    let peer = |row: &Vec<&str>| {
        let times = row[1..].iter().map(|cell| word(cell).parse::<f64>());
        let ms = cases.iter().cloned().zip(times).filter_map(|(case, ms)| Some((case, ms.ok()?)));
        let peaks = cases.iter().cloned().zip(&row[1..]).filter_map(|(case, cell)| Some((case, peak(cell)?)));
        Engine {
            name: row[0].to_owned(),
            ms: ms.filter(|(_, ms)| *ms > 0.0 && ms.is_finite()).collect(),
            peak_mb: peaks.collect(),
        }
    };
    rows[head + 1..].iter().map(peer).filter(|peer| !peer.ms.is_empty()).collect()
}

/// The peak of memory at the end of a cell.
fn peak(cell: &str) -> Option<f64> {
    cell.strip_suffix(" MB")?.rsplit(' ').next()?.parse().ok()
}

/// The cells of a row of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_among_other_lines_is_read() {
        let text = "# ct2-bf16 b1s128: failed: ['no bf16']\n\
            | peer | b1s128 ms (min..max of 3 medians) | mix16 ms (min..max of 3 medians) |\n\
            |---|---|---|\n\
            | torch-f32 | 157.2 (155.0..160.1), 812 MB | 4507.0 (4400.1..4600.0) |\n\
            | ct2-bf16 | failed | failed |\n\
            | ort-f32 | 128.0 (127.0..129.0) | failed |\n";
        let peer = |name: &str, ms: &[(&str, f64)]| Engine {
            name: name.into(),
            ms: ms.iter().map(|&(case, ms)| (case.into(), ms)).collect(),
            peak_mb: vec![],
        };
        let torch = peer("torch-f32", &[("b1s128", 157.2), ("mix16", 4507.0)]);
        let wanted = [
            Engine { peak_mb: vec![("b1s128".into(), 812.0)], ..torch },
            peer("ort-f32", &[("b1s128", 128.0)]),
        ];
        assert_eq!(parse(text), wanted);
    }

    #[test]
    fn what_is_no_table_gives_nothing() {
        for text in ["", "|", "||", "| peer |", "| a | b |\n| 1 | 2 |", "\0|\u{1f642}|"] {
            assert_eq!(parse(text), [], "{text:?}");
        }
    }
}
