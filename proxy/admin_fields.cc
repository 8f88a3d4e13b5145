#include "proxy/admin_fields.h"

#include <utility>

#include "proxy/status_json.h"

namespace crossfade {

namespace {
constexpr int64_t kMaxMilliseconds = 60'000;
}  // namespace

HttpResponse JsonResponse(const nlohmann::json& json, int status) {
  HttpResponse response;
  response.status = status;
  response.body = Dump(json);
  return response;
}

HttpResponse FromStatus(const absl::Status& status) {
  const std::string message(status.message());
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return HttpError(400, message);
    case absl::StatusCode::kFailedPrecondition:
      return JsonResponse({{"error", message}, {"reason", message}}, 409);
    default:
      return HttpError(500, message);
  }
}

Fields::Fields(const std::string& body) : json_(body.empty() ? Json::object() : Json::parse(body, nullptr, false)) {
  if (json_.is_discarded() || !json_.is_object()) {
    json_ = Json::object();
    Complain("the body must be a JSON object");
  }
}

void Fields::Percent(const char* name, std::optional<double>* out) {
  const Json* value = Take(name);
  if (value == nullptr) return;
  const double percent = value->is_number() ? value->get<double>() : -1;
  if (percent >= 0 && percent <= 100) {
    *out = percent;
  } else {
    Complain(fmt::format("{}: expected a number from 0 to 100", name));
  }
}

void Fields::Numbers(const char* name, std::vector<double>* out) {
  const Json* value = Take(name);
  if (value == nullptr) return;
  bool all = value->is_array();
  if (all) {
    for (const Json& one : *value) all = all && one.is_number();
  }
  if (!all) return Complain(fmt::format("{}: expected an array of numbers", name));
  out->clear();
  for (const Json& one : *value) out->push_back(one.get<double>());
}

void Fields::Real(const char* name, double least, double most, std::optional<double>* out) {
  const Json* value = Take(name);
  if (value == nullptr) return;
  const double number = value->is_number() ? value->get<double>() : least - 1;
  if (number >= least && number <= most) {
    *out = number;
  } else {
    Complain(fmt::format("{}: expected a number from {:g} to {:g}", name, least, most));
  }
}

void Fields::Text(const char* name, std::string* out) {
  const Json* value = Take(name);
  if (value == nullptr) return;
  if (value->is_string()) {
    *out = value->get<std::string>();
  } else {
    Complain(fmt::format("{}: expected a string", name));
  }
}

void Fields::Flag(const char* name, std::optional<bool>* out) {
  const Json* value = Take(name);
  if (value == nullptr) return;
  if (value->is_boolean()) {
    *out = value->get<bool>();
  } else {
    Complain(fmt::format("{}: expected true or false", name));
  }
}

void Fields::Number(const char* name, int64_t least, int64_t most, std::optional<int64_t>* out) {
  const Json* value = Take(name);
  if (value == nullptr) return;
  // A number that int64_t can't hold is none that is expected anywhere.
  const bool whole =
      value->is_number_integer() && (!value->is_number_unsigned() || value->get<uint64_t>() <= INT64_MAX);
  const int64_t number = whole ? value->get<int64_t>() : 0;
  if (whole && number >= least && number <= most) {
    *out = number;
  } else {
    Complain(fmt::format("{}: expected a whole number from {} to {}", name, least, most));
  }
}

void Fields::Milliseconds(const char* name, int64_t* out) {
  const Json* value = Take(name);
  if (value == nullptr) return;
  const double ms = value->is_number() ? value->get<double>() : -1;
  if (ms >= 0 && ms <= static_cast<double>(kMaxMilliseconds)) {
    *out = static_cast<int64_t>(ms);
  } else {
    Complain(fmt::format("{}: expected milliseconds from 0 to {}", name, kMaxMilliseconds));
  }
}

absl::Status Fields::Done() {
  for (const auto& [name, value] : json_.items()) Complain(fmt::format("{}: unknown field", name));
  return mistakes_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(mistakes_);
}

const Fields::Json* Fields::Take(const char* name) {
  const auto found = json_.find(name);
  if (found == json_.end()) return nullptr;
  taken_ = std::move(*found);
  json_.erase(found);
  return &taken_;
}

}  // namespace crossfade
