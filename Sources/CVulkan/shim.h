#include <vulkan/vulkan.h>

// Of VK_KHR_cooperative_matrix, which Debian 12's headers are too old for; names of our own, so that newer ones do no harm.
typedef struct {
  VkStructureType sType;
  void *pNext;
  VkBool32 cooperativeMatrix;
  VkBool32 cooperativeMatrixRobustBufferAccess;
} GraftCooperativeMatrixFeatures;

typedef struct {
  VkStructureType sType;
  void *pNext;
  uint32_t MSize, NSize, KSize;
  uint32_t AType, BType, CType, ResultType;  // VkComponentTypeKHR
  VkBool32 saturatingAccumulation;
  uint32_t scope;  // VkScopeKHR
} GraftCooperativeMatrixProperties;

typedef VkResult(VKAPI_PTR *GraftGetCooperativeMatrixProperties)(
    VkPhysicalDevice, uint32_t *, GraftCooperativeMatrixProperties *);

static const VkStructureType GRAFT_COOPERATIVE_MATRIX_FEATURES = (VkStructureType)1000506000;
static const VkStructureType GRAFT_COOPERATIVE_MATRIX_PROPERTIES = (VkStructureType)1000506001;
static const uint32_t GRAFT_COMPONENT_FLOAT16 = 0;
static const uint32_t GRAFT_COMPONENT_FLOAT32 = 1;
static const uint32_t GRAFT_SCOPE_SUBGROUP = 3;

// Of sched.h, which shows them to GNU's programs only: a bit for each processor, the lowest in the first byte.
int sched_getaffinity(int thread, size_t bytes, void *processors);
int sched_setaffinity(int thread, size_t bytes, const void *processors);
