// Which errors are about the store as a whole.
#include "routing/refusal.h"

#include <gtest/gtest.h>

namespace crossfade {
namespace {

TEST(RefusalTest, WhoTakesNothing) {
  EXPECT_TRUE(RefusesAll(RefusalCode("-READONLY You can't write against a read only replica.\r\n")));
  EXPECT_TRUE(RefusesAll(RefusalCode("-OOM command not allowed when used memory > 'maxmemory'.\r\n")));
  EXPECT_TRUE(RefusesAll(RefusalCode("-ERR Out of memory\r\n")));
  EXPECT_TRUE(RefusesAll(RefusalCode("-LOADING Redis is loading the dataset in memory\r\n")));
  EXPECT_FALSE(RefusesAll(RefusalCode("-ERR syntax error\r\n")));
  EXPECT_FALSE(RefusesAll(RefusalCode("-BUSYGROUP Consumer Group name already exists\r\n")));
  EXPECT_FALSE(RefusesAll(RefusalCode("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")));
  EXPECT_FALSE(RefusesAll(RefusalCode("-NOPERM this user has no permissions to run the 'set' command\r\n")));
  EXPECT_FALSE(RefusesAll(""));
}

TEST(RefusalTest, WhoGivesNoAnswer) {
  EXPECT_TRUE(GivesNoAnswer("-NOPERM this user has no permissions to run the 'get' command\r\n"));
  EXPECT_TRUE(GivesNoAnswer("-MASTERDOWN Link with MASTER is down\r\n"));
  EXPECT_FALSE(GivesNoAnswer("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"));
  EXPECT_FALSE(GivesNoAnswer("+LOADING\r\n"));
  EXPECT_FALSE(GivesNoAnswer("$2\r\nOK\r\n"));
}

}  // namespace
}  // namespace crossfade
