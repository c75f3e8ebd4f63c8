#include "common/secagg/member_set.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace skerry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MemberSet SetOf(size_t member_count, std::initializer_list<size_t> members) {
  MemberSet set(member_count);
  for (const size_t member : members) set.Insert(member);
  return set;
}

TEST(MemberSetTest, EverySetOfUpToNineMembersSurvivesItsBitmap) {
  for (size_t count = 0; count <= 9; ++count) {
    for (size_t choice = 0; choice < size_t{1} << count; ++choice) {
      MemberSet set(count);
      for (size_t i = 0; i < count; ++i) {
        if ((choice >> i & 1) != 0) set.Insert(i);
      }

      ASSERT_OK_AND_ASSIGN(const MemberSet parsed, MemberSet::Parse(set.bitmap(), count));

      ASSERT_EQ(parsed, set);
      ASSERT_EQ(parsed.members(), set.members());
    }
  }
}

TEST(MemberSetTest, NamesItsMembersInOrder) {
  const MemberSet set = SetOf(20, {19, 0, 8, 7});

  EXPECT_THAT(set.members(), ElementsAre(0, 7, 8, 19));
  EXPECT_EQ(set.size(), 4u);
  EXPECT_EQ(set.member_count(), 20u);
  EXPECT_TRUE(set.Contains(8));
  EXPECT_FALSE(set.Contains(9));
  EXPECT_EQ(set.bitmap(), std::string("\x81\x01\x08", 3));
}

TEST(MemberSetTest, BitmapOfAnotherLengthIsRefused) {
  for (const size_t bytes : {0u, 1u, 3u}) {
    EXPECT_THAT(MemberSet::Parse(std::string(bytes, '\0'), 10),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 bytes")));
  }
  EXPECT_OK(MemberSet::Parse(std::string(2, '\0'), 10));
  EXPECT_OK(MemberSet::Parse("", 0));
}

TEST(MemberSetTest, EveryBitPastTheLastMemberIsRefused) {
  for (unsigned bit = 2; bit < 8; ++bit) {
    const std::string bitmap = {'\0', static_cast<char>(1u << bit)};
    EXPECT_THAT(MemberSet::Parse(bitmap, 10), StatusIs(absl::StatusCode::kInvalidArgument)) << bit;
  }
  EXPECT_OK(MemberSet::Parse(std::string("\xff\x03", 2), 10));
}

TEST(MemberSetTest, SubsetsAreOfTheSameMembers) {
  const MemberSet few = SetOf(5, {1, 3});
  const MemberSet more = SetOf(5, {1, 3, 4});

  EXPECT_TRUE(few.IsSubsetOf(more));
  EXPECT_TRUE(few.IsSubsetOf(few));
  EXPECT_TRUE(MemberSet(5).IsSubsetOf(few));
  EXPECT_FALSE(more.IsSubsetOf(few));
  EXPECT_FALSE(few.IsSubsetOf(SetOf(6, {1, 3})));  // another session's
  EXPECT_NE(few, SetOf(6, {1, 3}));
}

TEST(MemberSetTest, NobodyHasAnEncodingToo) {
  const MemberSet nobody(9);

  EXPECT_THAT(nobody.members(), IsEmpty());
  EXPECT_EQ(nobody.size(), 0u);
  EXPECT_EQ(nobody.bitmap(), std::string(2, '\0'));
}

}  // namespace
}  // namespace skerry
