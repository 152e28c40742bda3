//! Which column holds which field.

use serde_json::Value;

use super::super::Place;
use super::super::error::{DataError, Result, beginning};
use super::Row;

/// A field that a reader wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it is for, in messages.
    pub role: &'static str,
    /// Names that it usually has, the best first.
    pub names: &'static [&'static str],
    /// The name or the number of its column, in place of these.
    pub given: Option<String>,
    /// The number of its column in a table without a header, counted from 1.
    pub otherwise: Option<usize>,
    /// Whether a table without it is an error.
    pub required: bool,
}

impl Wanted {
    pub fn required(role: &'static str, names: &'static [&'static str], given: &Option<String>) -> Self {
        Self { role, names, given: given.clone(), otherwise: None, required: true }
    }

    pub fn optional(role: &'static str, names: &'static [&'static str], given: &Option<String>) -> Self {
        // What is asked for by name has to be there.
        Self { role, names, given: given.clone(), otherwise: None, required: given.is_some() }
    }

    /// The column that was given by a number, counted from 1.
    fn number(&self) -> Option<usize> {
        self.given.as_ref()?.trim().parse::<usize>().ok()?.checked_sub(1)
    }

    fn is_named(&self, name: &str) -> bool {
        self.names.iter().any(|known| same(known, name))
    }

    /// Where it stands among named columns.
    fn find(&self, names: &[String]) -> Option<usize> {
        let named = |wanted: &str| {
            let exact = names.iter().position(|name| name == wanted);
            exact.or_else(|| names.iter().position(|name| same(name, wanted)))
        };
        match &self.given {
            Some(given) => named(given),
            None => self.names.iter().find_map(|name| named(name)),
        }
    }
}

fn same(name: &str, other: &str) -> bool {
    name.trim().eq_ignore_ascii_case(other.trim())
}

/// Where the wanted fields stand in the rows of one table.
pub struct Columns {
    /// Whether the first row is a header.
    pub header: bool,
    places: Vec<Option<usize>>,
    /// How many columns there are.
    width: usize,
}

impl Columns {
    /// Finds the columns from the first row. `names` are those of formats whose columns are fixed.
    pub fn find(
        place: &Place,
        first: &[String],
        wanted: &[Wanted],
        names: Option<&[&str]>,
        header: Option<bool>,
    ) -> Result<Self> {
        let width = first.len();
        if let Some(names) = names {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            return Ok(Self { header: false, places: Self::named(place, &names, wanted)?, width });
        }
        let header = header.unwrap_or_else(|| looks_like_a_header(first, wanted));
        let names = if header { first } else { &[] };
        let mut places = vec![];
        for wanted in wanted {
            let otherwise = wanted.otherwise.filter(|_| !header).map(|number| number - 1);
            let number = wanted.number().or(otherwise).filter(|&at| at < width);
            let found = wanted.find(names).or(number);
            if found.is_none() && wanted.required {
                return Err(no_column(place, wanted, first, header));
            }
            places.push(found);
        }
        Ok(Self { header, places: one_role_each(places, wanted), width })
    }

    /// The same among the names of a JSON object.
    pub fn named(place: &Place, names: &[String], wanted: &[Wanted]) -> Result<Vec<Option<usize>>> {
        let mut places = vec![];
        for wanted in wanted {
            let found = wanted.find(names);
            if found.is_none() && wanted.required {
                return Err(no_column(place, wanted, names, true));
            }
            places.push(found);
        }
        Ok(one_role_each(places, wanted))
    }

    /// The wanted fields of a row.
    pub fn pick(&self, place: Place, mut fields: Vec<String>) -> Result<Row> {
        if fields.len() != self.width {
            return Err(DataError::Fields { place, expected: self.width, found: fields.len() });
        }
        // A column may serve two roles, if the caller says so.
        let again = |at: usize, before: &[Option<usize>]| before.contains(&Some(at));
        let mut picked = vec![];
        for (role, place) in self.places.iter().enumerate() {
            picked.push(place.map(|at| match again(at, &self.places[role + 1..]) {
                true => Value::String(fields[at].clone()),
                false => Value::String(std::mem::take(&mut fields[at])),
            }));
        }
        Ok(Row { place, fields: picked })
    }
}

/// A column that was found by its usual name has one role: the first that wants it.
fn one_role_each(mut places: Vec<Option<usize>>, wanted: &[Wanted]) -> Vec<Option<usize>> {
    for role in 1..places.len() {
        let taken = places[role].is_some() && places[..role].contains(&places[role]);
        if taken && wanted[role].given.is_none() && !wanted[role].required {
            places[role] = None;
        }
    }
    places
}

/// Whether a first row names columns: one that is wanted by name, or else all that are wanted by number.
fn looks_like_a_header(first: &[String], wanted: &[Wanted]) -> bool {
    let by_name = wanted.iter().filter(|wanted| wanted.number().is_none());
    let mut by_number = wanted.iter().filter_map(|wanted| Some((wanted, wanted.number()?))).peekable();
    if by_name.clone().any(|wanted| wanted.required) || by_number.peek().is_none() {
        return by_name.into_iter().any(|wanted| wanted.find(first).is_some());
    }
    by_number.all(|(wanted, at)| first.get(at).is_some_and(|name| wanted.is_named(name)))
}

fn no_column(place: &Place, wanted: &Wanted, found: &[String], header: bool) -> DataError {
    let looked_for = match &wanted.given {
        Some(given) => vec![given.clone()],
        None => wanted.names.iter().map(|&name| name.to_owned()).collect(),
    };
    let found = found.iter().map(|name| format!("{:?}", beginning(name))).collect();
    DataError::NoColumn { place: place.clone(), role: wanted.role, looked_for, found, header }
}
