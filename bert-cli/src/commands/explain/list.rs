//! Numbers separated by commas.

use std::str::FromStr;

/// The numbers of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers<T>(pub Vec<T>);

/// Reads numbers that may be below 0.
pub fn numbers(text: &str) -> Result<Numbers<i64>, String> {
    read(text, "give numbers separated by commas, such as 1,2 or -1")
}

/// Reads numbers that count something.
pub fn counts(text: &str) -> Result<Numbers<usize>, String> {
    read(text, "give numbers separated by commas, such as 1,2")
}

fn read<T: FromStr>(text: &str, expected: &str) -> Result<Numbers<T>, String> {
    let all = text.split(',').map(|number| number.trim().parse());
    all.collect::<Result<_, _>>().map(Numbers).map_err(|_| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_or_explained() {
        assert_eq!(numbers("-2,-1").unwrap().0, [-2, -1]);
        assert_eq!(counts("1, 2 ,3").unwrap().0, [1, 2, 3]);
        for bad in ["", "a", "1,", "1-3", "1;2", "--json", "99999999999999999999", "1 2"] {
            assert!(numbers(bad).unwrap_err().contains("separated by commas, such as 1,2"), "{bad}");
            assert!(counts(bad).is_err(), "{bad}");
        }
        assert!(counts("-1").is_err());
    }
}
