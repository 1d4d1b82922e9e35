//! `dates`: the days a text speaks of.

use crate::annotator::{Annotator, Budget, Failure, Input, Value, Values};

/// Days kept.
const DAYS_MAX: usize = 32;

/// Words looked at between two looks at the clock.
const STRIDE: usize = 1_024;

/// English names of months; their first three letters are enough.
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The days a text names: `2024-03-12` (ISO 8601), `2024/03/12`, `12.03.2024`, `12 March 2024`, `Mar 12, 2024`, and the
/// like, of the Gregorian calendar, from the year 1000 to 2999. What may mean two days (`03/04/2024`) is left out.
///
/// Values: `days`, the first 32 different ones in ISO form and in their order in the text, with commas between them;
/// `count`, how many those are; `earliest` and `latest` of them.
#[derive(Debug, Clone, Copy)]
pub struct Dates;

/// Orders by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Day {
    year: u32,
    month: u32,
    day: u32,
}

impl Annotator for Dates {
    fn name(&self) -> &'static str {
        "dates"
    }

    fn version(&self) -> u32 {
        1
    }

    fn annotate(&self, input: &Input<'_>, budget: &Budget<'_>) -> Result<Values, Failure> {
        let mut days: Vec<Day> = Vec::new();
        // The last three words, the newest last.
        let mut words = ["", "", ""];
        let text = [input.title, input.body].into_iter().flat_map(str::split_whitespace);
        for (number, word) in text.enumerate() {
            if number.is_multiple_of(STRIDE) {
                budget.check()?;
            }
            words = [words[1], words[2], word];
            let Some(day) = of_word(word).or_else(|| of_words(words)) else { continue };
            if !days.contains(&day) {
                days.push(day);
            }
            if days.len() == DAYS_MAX {
                break;
            }
        }
        Ok(values(&days))
    }
}

fn values(days: &[Day]) -> Values {
    let (Some(earliest), Some(latest)) = (days.iter().min(), days.iter().max()) else {
        return Values::new();
    };
    let all = days.iter().map(Day::iso).collect::<Vec<_>>().join(",");
    let text = |name: &str, text: String| (name.to_owned(), Value::Text(text));
    Values::from([
        ("count".to_owned(), Value::Integer(i64::try_from(days.len()).unwrap_or(i64::MAX))),
        text("days", all),
        text("earliest", earliest.iso()),
        text("latest", latest.iso()),
    ])
}

impl Day {
    fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let is_leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        let is_one = (1_000..=2_999).contains(&year) && (1..=last).contains(&day);
        is_one.then_some(Self { year, month, day })
    }

    fn iso(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A day written as one word of numbers.
fn of_word(word: &str) -> Option<Day> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    // The time of day follows in ISO 8601.
    let word = word.split_once(['T', 't']).map_or(word, |(day, _)| day);
    for separator in ['-', '/', '.'] {
        let mut parts = word.split(separator);
        let (Some(first), Some(second), Some(third), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if first.len() == 4 {
            return Day::new(number(first, 4)?, number(second, 2)?, number(third, 2)?);
        }
        // With points it is the day that comes first, wherever that is written.
        if separator == '.' && third.len() == 4 {
            return Day::new(number(third, 4)?, number(second, 2)?, number(first, 2)?);
        }
    }
    None
}

/// A day written as day, name of the month and year, or month, day and year.
fn of_words([first, second, third]: [&str; 3]) -> Option<Day> {
    let year = number(third.trim_matches(|c: char| !c.is_ascii_alphanumeric()), 4)?;
    if let Some(month) = month(second) {
        return Day::new(year, month, ordinal(first)?);
    }
    Day::new(year, month(first)?, ordinal(second)?)
}

fn month(word: &str) -> Option<u32> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
    // No name is longer, and what is compared is short.
    if !(3..=9).contains(&word.len()) {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let is_name = |name: &&str| {
        // `sept` is what people write beside `sep`.
        *name == word || (name.starts_with(&word) && (word.len() == 3 || word == "sept"))
    };
    let index = MONTHS.iter().position(is_name)?;
    u32::try_from(index + 1).ok()
}

/// `12`, `12.`, `12,`, `12th`.
fn ordinal(word: &str) -> Option<u32> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end));
    number(digits.unwrap_or(word), 2)
}

fn number(digits: &str, digits_max: usize) -> Option<u32> {
    let is_number = !digits.is_empty()
        && digits.len() <= digits_max
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}
