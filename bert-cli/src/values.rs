//! Values of options that are read in the same way wherever they are taken.

/// A count that makes sense only from 1 on.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err("it must be a whole number of at least 1".to_owned()),
    }
}

/// A count for which room is made at once.
pub fn up_to<const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count <= MOST => Ok(count),
        _ => Err(format!("it must be a whole number of at most {MOST}")),
    }
}

/// A number between 0 and 1.
pub fn probability(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err("it must be a number between 0 and 1".to_owned()),
    }
}
