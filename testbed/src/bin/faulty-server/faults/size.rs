//! How large a fault a request asks for, within bounds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A minute.
const MOST_MS: u64 = 60_000;
const MOST_US: u64 = MOST_MS * 1000;
const MOST_KIB: u64 = 64 * 1024;
const MOST_YIELDS: u64 = 1_000_000;

/// A time: `us=200`, or `ms=20`.
#[derive(Deserialize)]
pub(super) struct Time {
    #[serde(default, deserialize_with = "at_most::<MOST_US, _>")]
    us: u64,
    #[serde(default, deserialize_with = "at_most::<MOST_MS, _>")]
    ms: u64,
}

impl Time {
    pub(super) fn duration(&self) -> Duration {
        Duration::from_micros(self.us) + Duration::from_millis(self.ms)
    }
}

/// A time on the CPU and one asleep.
#[derive(Deserialize)]
pub(super) struct Times {
    #[serde(deserialize_with = "at_most::<MOST_US, _>")]
    burn_us: u64,
    #[serde(deserialize_with = "at_most::<MOST_US, _>")]
    block_us: u64,
}

impl Times {
    pub(super) fn burn(&self) -> Duration {
        Duration::from_micros(self.burn_us)
    }

    pub(super) fn block(&self) -> Duration {
        Duration::from_micros(self.block_us)
    }
}

#[derive(Deserialize)]
pub(super) struct Kibibytes {
    #[serde(deserialize_with = "at_most::<MOST_KIB, _>")]
    kib: u64,
}

impl Kibibytes {
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.kib * 1024).unwrap_or(0)
    }

    pub(super) fn filler(&self) -> Vec<u8> {
        vec![b'x'; self.bytes()]
    }
}

/// A time, and how often, once unless told otherwise.
#[derive(Deserialize)]
pub(super) struct Jobs {
    #[serde(default, deserialize_with = "at_most::<MOST_US, _>")]
    us: u64,
    #[serde(default, deserialize_with = "at_most::<MOST_MS, _>")]
    ms: u64,
    #[serde(default = "once", deserialize_with = "at_most::<MOST_YIELDS, _>")]
    pub(super) times: u64,
}

impl Jobs {
    pub(super) fn each(&self) -> Duration {
        Duration::from_micros(self.us) + Duration::from_millis(self.ms)
    }
}

fn once() -> u64 {
    1
}

/// How often.
#[derive(Deserialize)]
pub(super) struct Count {
    #[serde(deserialize_with = "at_most::<MOST_YIELDS, _>")]
    pub(super) times: u64,
}

fn at_most<'a, const MOST: u64, D: Deserializer<'a>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number > MOST {
        return Err(de::Error::custom(format_args!("{number} is more than {MOST}")));
    }
    Ok(number)
}
