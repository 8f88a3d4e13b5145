// What stores answer to a preflight's questions, as its facts. Pure parsing: replies in, facts out; any bytes are
// borne with. proxy/preflight asks the questions in the order in which they are read here.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/preflight_facts.h"
#include "routing/rebuild_commands.h"

namespace crossfade {

// What both stores are asked at first, and the reading of it.
CommandBatch LookQuestions();
void ReadLook(std::span<const std::string> answers, StoreFacts* store);

// Some keys of each database that holds any, about `wanted` in all. Database 0 is selected again at the end.
struct SampleQuestion {
  int db = 0;
  size_t wanted = 0;
};
std::vector<SampleQuestion> SampleOf(const ServerFigures& figures, size_t wanted);
void AddSample(const std::vector<SampleQuestion>& questions, CommandBatch* batch);

struct SampledKey {
  int db = 0;
  std::string name;
};
// The reading of AddSample's answers. Names that are nobody's data are left out. `refused`: SCAN's error, if any.
std::vector<SampledKey> ReadSample(const std::vector<SampleQuestion>& questions, std::span<const std::string> answers,
                                   std::string* refused);

// What old is asked about its own keys and about new's, and the reading of it.
CommandBatch KeyQuestions(const std::vector<SampledKey>& olds, const std::vector<SampledKey>& news);
void ReadSampledKeys(const std::vector<SampledKey>& olds, const std::vector<SampledKey>& news,
                     std::span<const std::string> answers, PreflightFacts* facts);

}  // namespace crossfade
