//! Cases about reading and trimming: ranges, resuming.

use bytes::Bytes;
use nautilus_types::{Class, Offset};

use super::{LogUnderTest, P0, append, assert_out_of_range, bounded, by_offset, read_all, trimmed};

/// An offset that was trimmed away is a typed error with the range, never another record.
pub async fn below_low_is_out_of_range(subject: impl LogUnderTest) {
    let log = subject.log();
    trimmed(&*log).await;
    let low = log.watermarks(P0).await.expect("watermarks").low;
    for below in [Offset(0), Offset(low.0 - 1)] {
        let outcome = bounded(log.read(P0, below, 100)).await;
        assert_eq!(outcome.as_ref().map_err(crate::LogError::class), Err(Class::Precondition));
        assert_out_of_range(outcome, below);
    }
}

/// The high watermark itself reads as empty; an offset above it was never of this log.
pub async fn above_high_is_out_of_range(subject: impl LogUnderTest) {
    let log = subject.log();
    assert_eq!(bounded(log.read(P0, Offset(0), 100)).await.expect("empty"), []);
    assert_out_of_range(bounded(log.read(P0, Offset(1), 100)).await, Offset(1));
    append(&*log, P0, "x").await;
    let high = log.watermarks(P0).await.expect("watermarks").high;
    assert_eq!(bounded(log.read(P0, high, 100)).await.expect("empty"), []);
    for above in [high.next(), Offset(u64::MAX)] {
        assert_out_of_range(bounded(log.read(P0, above, 100)).await, above);
        assert_out_of_range(bounded(log.wait_beyond(P0, above)).await, above);
        assert_out_of_range(bounded(log.trim(P0, above)).await, above);
    }
}

/// Trimming takes nothing above its mark, moves neither end back, and holds over a restart.
pub async fn trimming_keeps_what_is_above(mut subject: impl LogUnderTest) {
    let log = subject.log();
    let mut appended = trimmed(&*log).await;
    let before = log.watermarks(P0).await.expect("watermarks");
    assert_eq!(bounded(log.trim(P0, Offset(0))).await.expect("nothing to trim"), before.low);
    let kept = appended.split_off(&before.low);
    assert_eq!(by_offset(read_all(&*log, P0, before.low, 1 << 16).await), kept);
    drop(log);

    let log = subject.reopen().await;
    assert_eq!(log.watermarks(P0).await.expect("watermarks"), before);
    assert_eq!(by_offset(read_all(&*log, P0, before.low, 1 << 16).await), kept);
    assert_out_of_range(bounded(log.read(P0, Offset(0), 1)).await, Offset(0));
}

/// However small the bound, a read makes progress; however large, it keeps to the log.
pub async fn reads_return_at_least_one_record(subject: impl LogUnderTest) {
    let log = subject.log();
    for length in [10_usize, 5000, 300_000, 1] {
        let payload = Bytes::from(vec![b'x'; length]);
        bounded(log.append(P0, payload)).await.expect("appended");
    }
    for bytes_max in [0, 1, 9, 10, 11, 5009, 5010, 5011, 100_000, 305_010, usize::MAX] {
        let records = bounded(log.read(P0, Offset(0), bytes_max)).await.expect("read");
        let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
        assert!(!records.is_empty());
        assert!(records.len() == 1 || bytes <= bytes_max, "{bytes} bytes for {bytes_max}");
        assert_eq!(read_all(&*log, P0, Offset(0), bytes_max).await.len(), 4);
    }
}

/// From every offset, with small and large reads, exactly the records from there on.
pub async fn resuming_neither_skips_nor_repeats(subject: impl LogUnderTest) {
    let log = subject.log();
    for i in 0..150_usize {
        let payload = Bytes::from(format!("{i}-").repeat(1 + i * 7 % 200));
        bounded(log.append(P0, payload)).await.expect("appended");
    }
    let all = read_all(&*log, P0, Offset(0), 1 << 20).await;
    assert_eq!(all.len(), 150);
    for (i, record) in all.iter().enumerate() {
        let payload = format!("{i}-").repeat(1 + i * 7 % 200);
        assert_eq!(record.payload, payload);
        assert!(record.appended_at_unix_ms > 0);
        let bytes_max = [1, 100, 1000, 1 << 20][i % 4];
        assert_eq!(read_all(&*log, P0, record.offset, bytes_max).await, all[i..]);
    }
}
