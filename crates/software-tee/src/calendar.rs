//! Seconds since 1970 as dates, for certificates and for Intel's JSON.

/// Days of a civil date since 1970-01-01 and back are those of the proleptic Gregorian calendar.
pub(crate) struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

impl Civil {
    /// The date of a time.
    pub(crate) fn from_unix(seconds: u64) -> Self {
        // Counts from 0000-03-01, so that the leap day is a year's last; 400 years have 146,097
        // days (H. Hinnant, "chrono-compatible low-level date algorithms").
        let days = seconds / DAY + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: seconds % DAY / 3_600,
            minute: seconds % 3_600 / 60,
            second: seconds % 60,
        }
    }

    /// As in RFC 3339, in UTC.
    pub(crate) fn rfc3339(&self) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// As X.509 wants it (RFC 5280, 4.1.2.5): the tag and the text.
    pub(crate) fn x509(&self) -> (u8, String) {
        let Self { year, month, day, hour, minute, second } = self;
        let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
        // UTCTime until 2049, GeneralizedTime from then on.
        if *year < 2050 {
            (0x17, format!("{:02}{rest}", year % 100))
        } else {
            (0x18, format!("{year:04}{rest}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Civil::from_unix(seconds).rfc3339(), text);
        }
        assert_eq!(Civil::from_unix(0).x509(), (0x17, "700101000000Z".into()));
        assert_eq!(Civil::from_unix(4_107_542_400).x509(), (0x18, "21000301000000Z".into()));
    }
}
