//! Notes on what could not be explained that several parts write, and that tests look for.

/// No event of a thread reaches back so far.
pub const NO_RECORD: &str = "no record of the thread";

/// A thread went on, and it was not seen to get a CPU; or records of it were lost; or it had ended.
pub const NOT_SEEN: &str = "what the thread did was not seen";

/// Either of these, of the thread that was to accept a connection. That it had not done so is known.
pub const ACCEPTER_NOT_SEEN: &str = "who accepts is not known";

/// It did nothing, and would have done nothing whatever came.
pub const STOPPED: &str = "the thread was stopped by a signal or a debugger";

/// The walk has made so many steps that it is given up.
pub const TOO_MANY_STEPS: &str = "too many intervals";

/// Of what was long ago only sums are kept: how long each cause was, and not when.
pub const SUMMED_UP: &str = "many intervals, summed up: when each of them was is not kept";
