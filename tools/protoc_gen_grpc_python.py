"""A protoc plugin for gRPC Python stubs and their types, of the files that hold a service.

buf has no such plugin built in. This one hands the request that buf writes on standard input to the
generators of grpc_tools and mypy-protobuf, so that generating needs neither a network nor a
compiled plugin.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc


def stubs(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Make the _pb2_grpc module of every file asked for."""
    response = CodeGeneratorResponse()
    with tempfile.TemporaryDirectory() as directory:
        descriptors = Path(directory, "descriptors.binpb")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        output = Path(directory, "out")
        output.mkdir()
        options = [f"--descriptor_set_in={descriptors}", f"--grpc_python_out={output}"]
        if protoc.main(["protoc", *options, *request.file_to_generate]) != 0:
            response.error = "grpc_tools could not generate stubs; its message stands above"
        for path in sorted(output.rglob("*.py")):
            name = path.relative_to(output).as_posix()
            response.file.add(name=name, content=path.read_text(encoding="utf-8"))
    return response


def types_of_stubs(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Make the _pb2_grpc.pyi of every file asked for, typed for grpc.aio alone."""
    typed = CodeGeneratorRequest()
    typed.CopyFrom(request)
    typed.parameter = "only_async,quiet"
    generator = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    answer = subprocess.run(  # noqa: S603 - our own interpreter's generator, fed by buf
        [generator], input=typed.SerializeToString(), stdout=subprocess.PIPE, check=True
    )
    return CodeGeneratorResponse.FromString(answer.stdout)


def generate(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Answer the request, leaving out the files for which stubs would be empty."""
    with_services = {file.name for file in request.proto_file if file.service}
    wanted = [name for name in request.file_to_generate if name in with_services]
    del request.file_to_generate[:]
    request.file_to_generate.extend(wanted)
    response = CodeGeneratorResponse()
    if wanted:
        response.MergeFrom(stubs(request))
        response.MergeFrom(types_of_stubs(request))
    response.supported_features = CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    return response


if __name__ == "__main__":
    incoming = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(incoming).SerializeToString())
