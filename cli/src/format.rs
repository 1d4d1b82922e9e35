//! Numbers, sizes, times and tables for people.

use std::time::Duration;

/// 1234567 as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 document`, `2 documents`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

/// Bytes as `12.3 kB`.
pub(crate) fn size(bytes: u64) -> String {
    humansize::format_size(bytes, humansize::DECIMAL.decimal_places(1).decimal_zeroes(0))
}

/// How long something took, to three figures or so.
pub(crate) fn took(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms < 10 {
        let us = duration.as_micros();
        format!("{}.{} ms", us / 1000, us % 1000 / 100)
    } else if ms < 1000 {
        format!("{ms} ms")
    } else if ms < 60_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
    }
}

/// How long ago `then` was, in the largest unit that fits; empty where it is not known.
pub(crate) fn age(then_unix_ms: i64, now_unix_ms: u64) -> String {
    let Ok(then) = u64::try_from(then_unix_ms) else { return String::new() };
    if then == 0 {
        return String::new();
    }
    let Some(ms) = now_unix_ms.checked_sub(then) else { return "in the future".to_owned() };
    let minutes = ms / 60_000;
    let (number, unit) = match minutes {
        0 => return "just now".to_owned(),
        1..60 => (minutes, "minute"),
        60..1_440 => (minutes / 60, "hour"),
        1_440..86_400 => (minutes / 1_440, "day"),
        86_400..1_051_200 => (minutes / 43_200, "month"),
        _ => (minutes / 525_600, "year"),
    };
    format!("{} ago", counted(number, unit))
}

/// A time as `2026-11-22 08:50:03Z`; empty where it is not known.
pub(crate) fn time(unix_ms: i64) -> String {
    match u64::try_from(unix_ms) {
        Ok(0) | Err(_) => String::new(),
        Ok(ms) => {
            let time = std::time::UNIX_EPOCH + Duration::from_millis(ms);
            humantime::format_rfc3339_seconds(time).to_string().replace('T', " ")
        }
    }
}

/// How a column of a table is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings, in columns as wide as their widest cell.
pub(crate) fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = columns.iter().map(|(name, _)| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for ((cell, (_, align)), width) in cells.zip(columns).zip(&widths) {
            if !text.is_empty() {
                text.push_str("  ");
            }
            match align {
                Align::Left => text.push_str(&format!("{cell:<width$}")),
                Align::Right => text.push_str(&format!("{cell:>width$}")),
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    };
    let mut text = line(&mut columns.iter().map(|(name, _)| *name));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "hit"), "1 hit");
    }

    #[test]
    fn times_and_sizes_read_well() {
        let minute = 60_000;
        let now = 2_000_000_000_000;
        let ago = |ms: u64| age(i64::try_from(now - ms).expect("fits"), now);
        assert_eq!(ago(10), "just now");
        assert_eq!(ago(61 * minute), "1 hour ago");
        assert_eq!(ago(3 * 1_440 * minute), "3 days ago");
        assert_eq!(ago(800 * 1_440 * minute), "2 years ago");
        assert_eq!(age(0, now), "");
        assert_eq!(took(Duration::from_micros(4_321)), "4.3 ms");
        assert_eq!(took(Duration::from_millis(61_500)), "1m 1s");
        assert_eq!(size(12_345), "12.3 kB");
    }

    #[test]
    fn tables_line_up() {
        let columns = [("name", Align::Left), ("n", Align::Right)];
        let rows =
            vec![vec!["a".to_owned(), "10".to_owned()], vec!["bc".to_owned(), "5".to_owned()]];
        assert_eq!(table(&columns, &rows), "name   n\na     10\nbc     5\n");
    }
}
