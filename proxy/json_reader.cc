#include "proxy/json_reader.h"

namespace crossfade {

using Json = nlohmann::json;

std::string JsonReader::Text(const char* name) {
  const Json* found = Find(name);
  if (found != nullptr && found->is_string()) return found->get<std::string>();
  ok_ = false;
  return {};
}

bool JsonReader::Flag(const char* name) {
  const Json* found = Find(name);
  if (found != nullptr && found->is_boolean()) return found->get<bool>();
  ok_ = false;
  return false;
}

double JsonReader::Real(const char* name) {
  const Json* found = Find(name);
  return found != nullptr ? Real(*found) : Bad();
}

double JsonReader::Real(const Json& json) {
  if (!json.is_number()) return Bad();
  const double number = json.get<double>();
  return number >= 0 && number <= kMostReal ? number : Bad();  // which NaN is not
}

int64_t JsonReader::Number(const char* name, int64_t least, int64_t most) {
  const Json* found = Find(name);
  if (found != nullptr && found->is_number_integer()) {
    const bool fits = !found->is_number_unsigned() || found->get<uint64_t>() <= static_cast<uint64_t>(most);
    const int64_t number = fits ? found->get<int64_t>() : 0;
    if (fits && number >= least && number <= most) return number;
  }
  ok_ = false;
  return least;
}

const Json& JsonReader::Array(const char* name) {
  static const Json kNone = Json::array();
  const Json* found = Find(name);
  if (found != nullptr && found->is_array()) return *found;
  ok_ = false;
  return kNone;
}

const Json& JsonReader::Object(const char* name) {
  static const Json kNone = Json::object();
  const Json* found = Find(name);
  if (found != nullptr && found->is_object()) return *found;
  ok_ = false;
  return kNone;
}

const Json* JsonReader::Find(const char* name) const {
  if (!json_.is_object()) return nullptr;
  const auto found = json_.find(name);
  return found == json_.end() ? nullptr : &*found;
}

double JsonReader::Bad() {
  ok_ = false;
  return 0;
}

}  // namespace crossfade
