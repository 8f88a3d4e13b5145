// The admin API's bodies: a JSON object's fields taken by name and type with every mistake remembered, and answers made
// of JSON or of a Status. For the handlers in proxy/admin_*.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "conf/config.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "proxy/http_message.h"

namespace crossfade {

HttpResponse JsonResponse(const nlohmann::json& json, int status = 200);
// 400 for InvalidArgument, 409 with the reason for FailedPrecondition, else 500. REQUIRES: !status.ok().
HttpResponse FromStatus(const absl::Status& status);

class Fields {
 public:
  using Json = nlohmann::json;

  // An empty body is an object without fields.
  explicit Fields(const std::string& body);

  // Each leaves `out` as it is when there is no such field.
  void Percent(const char* name, std::optional<double>* out);
  template <typename E>
  void Word(const char* name, std::optional<E>* out, const char* expected) {
    const Json* value = Take(name);
    if (value == nullptr) return;
    E parsed{};
    if (value->is_string() && ParseName(value->get<std::string>(), &parsed)) {
      *out = parsed;
    } else {
      Complain(fmt::format("{}: expected {}", name, expected));
    }
  }
  // An array of numbers.
  void Numbers(const char* name, std::vector<double>* out);
  void Real(const char* name, double least, double most, std::optional<double>* out);
  void Text(const char* name, std::string* out);
  void Flag(const char* name, std::optional<bool>* out);
  // A whole number from `least` to `most`.
  void Number(const char* name, int64_t least, int64_t most, std::optional<int64_t>* out);
  // From 0 to a minute.
  void Milliseconds(const char* name, int64_t* out);
  // After all fields were taken: what is left is unknown.
  absl::Status Done();
  void Complain(const std::string& mistake) { mistakes_ += (mistakes_.empty() ? "" : "; ") + mistake; }

 private:
  const Json* Take(const char* name);

  Json json_, taken_;
  std::string mistakes_;
};

}  // namespace crossfade
