/* For the tests under Wine 8 alone, which has no bcryptprimitives.dll. Rust's standard library takes its hash seeds
 * from ProcessPrng; SystemFunction036 (RtlGenRandom) of advapi32 gives the same quality of bytes. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    return SystemFunction036(data, (ULONG)length);
}
