//! A tool that adds up: for {"numbers": [3, 4], "label": "x"}, where label may be
//! missing, it answers {"count": 2, "label": "x", "sum": 7}. Every SDK has the
//! same example, and all answer the same bytes.

use mythos::{fail, log, serve, Call, Error, Level, Value};

fn main() {
    serve(sum);
}

fn sum(call: &Call) -> Result<Value<'_>, Error> {
    let payload = call.payload();
    let numbers = payload.get("numbers")?;
    let items = numbers.items()?; // else 400 bad_request
    if numbers.is_empty() {
        return Err(fail(404, "no_numbers", "there is nothing to add up"));
    }
    let mut total = 0u64;
    for item in items {
        total = total.checked_add(item.as_uint()?).ok_or_else(|| fail(422, "overflow", ""))?;
    }
    log(Level::Info, &format!("sum of {} numbers", numbers.len()));
    let mut members = vec![("count", Value::uint(numbers.len())), ("sum", Value::uint(total))];
    if let Some(label) = payload.lookup("label") {
        members.push(("label", label));
    }
    Ok(Value::object(members))
}
