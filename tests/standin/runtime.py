"""CuPy's ``cupy.cuda.runtime``; a test sets what it is to find."""

#: The driver's version (0: there is none) and the number of GPUs.
driver, devices = 13020, 1

RUNTIME = 13020

#: Types of numbers, for libraries that are told by a number.
CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF = 0, 2, 14

NAMES = {
    35: "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version",
    100: "cudaErrorNoDevice: no CUDA-capable device is detected",
}


class CUDARuntimeError(RuntimeError):
    """What a call into CUDA's runtime answered."""

    def __init__(self, status):
        self.status = status
        super().__init__(NAMES.get(status, f"error {status}"))


def getDeviceCount():
    """How many GPUs there are."""
    if driver < RUNTIME // 1000 * 1000:
        raise CUDARuntimeError(35)
    if not devices:
        raise CUDARuntimeError(100)
    return devices


def getDevice():
    """The number of the GPU in use."""
    return 0


def driverGetVersion():
    """The newest CUDA that the driver knows."""
    return driver


def runtimeGetVersion():
    """The CUDA that CuPy was built for."""
    return RUNTIME


def getDeviceProperties(device):
    """What the GPU is."""
    return {"name": b"Stand-in", "totalGlobalMem": 80 << 30, "multiProcessorCount": 132, "major": 9, "minor": 0}


def memGetInfo():
    """Free and whole memory in bytes."""
    return 60 << 30, 80 << 30
