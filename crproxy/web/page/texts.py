"""Every word of the page, in each language; a test keeps their keys the same.

``<code>`` in a text is markup, and what is put into its braces is escaped; mistakes and notes are plain text.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

__all__ = ["TEXTS", "Language"]


class Language(enum.Enum):
    """A language of the page, by the first part of its tag (RFC 5646)."""

    ENGLISH = "en"
    CHINESE = "zh"

    @property
    def tag(self) -> str:
        """What the page's ``lang`` says."""
        return {"en": "en", "zh": "zh-CN"}[self.value]

    @property
    def other(self) -> Language:
        """The one to switch to."""
        return Language.CHINESE if self is Language.ENGLISH else Language.ENGLISH


_ENGLISH = {
    "name": "English",
    "skip": "Skip to the content",
    "description": "A proxy for every container registry: what to type to pull an image from here.",
    "heading": "Pull any image from here",
    "lead": "<code>{base}</code> stands in front of every container registry. Paste an image as you know it, and "
    "copy what to type.",
    "lead_alias": "<code>{host}</code> stands for {registry}. Paste an image as you know it, and copy what to type.",
    "label": "Image",
    "hint": "A name, a <code>docker pull</code>, a <code>FROM</code> or an <code>image:</code> line",
    "placeholder": "quay.io/org/app:v1",
    "convert": "Convert",
    "examples": "For example",
    "answer": "What to type",
    "status_ways": "Ways to pull {image}: {count}",
    "copy": "Copy",
    "copied": "Copied",
    "copy_failed": "Not copied: select the text",
    "way_prefix": "Prefix",
    "way_prefix_about": "the registry's name behind this host's",
    "way_alias": "Alias",
    "way_alias_about": "a host of its own for this registry",
    "way_mirror": "Mirror",
    "way_mirror_about": 'unchanged, once your client is <a href="#setup">set up</a>',
    "note_lowered": "The names of images are lower case, so that is how it is written here.",
    "note_tag_left_out": "The digest says exactly which image it is, so the tag is left out.",
    "mistake_too_long": "That is too long. Paste the line that names the image.",
    "mistake_not_a_name": "That is not the name of an image. It looks like nginx, org/app:v1 or quay.io/org/app:v1.",
    "mistake_no_repository": "That names a registry, but no image in it. Write what comes behind it, too.",
    "mistake_bad_registry": "What stands in front is not the name of a registry.",
    "mistake_bad_tag": "The tag, which is behind the colon, has up to 128 letters, digits, dots, hyphens and "
    "underscores.",
    "mistake_bad_digest": "The digest, which is behind the @, is sha256: and 64 hexadecimal digits, or sha512: and "
    "128.",
    "mistake_scratch": "scratch is no image: it stands for an empty one, and is never pulled.",
    "mistake_hugging_face": "Models of Hugging Face have capitals in their names, which registries have not: Ollama "
    "pulls them from there itself.",
    "mistake_no_host": "Ollama's names have no room for a registry behind this host, so models can be pulled from here "
    "only through an alias for registry.ollama.ai, and there is none.",
    "mistake_refused": "This proxy does not serve that image.",
    "mistake_no_way": "A port cannot stand inside of an image's name, so this registry can be pulled from here only "
    "through an alias, and there is none for it.",
    "rewrite": "Or a whole file",
    "rewrite_about": "A compose file, a manifest, Helm's values, a Dockerfile, a script, or a list of images: it comes "
    "back with its images' names leading here, and nothing else of it is changed.",
    "rewrite_label": "File",
    "rewrite_placeholder": "services:\n  web:\n    image: nginx:1.27",
    "rewrite_form": "Names by",
    "rewrite_go": "Rewrite",
    "rewrite_result": "Rewritten",
    "rewrite_command": "For longer files, and for many:",
    "status_changed": "Names rewritten: {count}",
    "status_kept": "Line {line}: {name} stays as it is: {why}",
    "status_unread": "From line {line} on this is no YAML: only commands, and lines that say image:, were rewritten.",
    "status_too_long": "That is too long for this page, or there is no answer: crproxy rewrite takes any file.",
    "mistake_inside": "That registry is at an address that this proxy does not ask.",
    "mistake_no_images": "There is no image in that.",
    "mistake_not_text": "That is no text in UTF-8.",
    "kept_scratch": "scratch is no image",
    "kept_built": "it is what is built here, not pulled",
    "kept_service": "a job knows this service by its name: give it an alias",
    "kept_variable": "a variable without a default decides",
    "kept_template": "a template decides",
    "kept_not_a_name": "it is not the name of an image",
    "kept_written_otherwise": "it is broken over lines, or has escapes in it",
    "kept_no_way": "its registry has a port, and no alias here",
    "kept_inside": "its registry is at an address that this proxy does not ask",
    "kept_refused": "this proxy does not serve it",
    "hosts": "Registries",
    "hosts_about": "Each of these hosts stands for one registry: put the image's path behind it. Any other registry is "
    "asked as <code>{base}/REGISTRY/IMAGE</code>.",
    "hosts_about_local": "Put this host in front of an image's whole name. That works for any registry, not only for "
    "these.",
    "hosts_about_alone": "Each of these hosts stands for one registry: put the image's path behind it.",
    "registry": "Registry",
    "host": "Address",
    "setup": "Set up once, and keep the names you have",
    "setup_about": "With one of these on a machine, images are pulled through this proxy under their own names.",
    "login": "Log in first: <code>docker login {host}</code>",
    "setup_docker": "Docker",
    "setup_docker_about": "For images of Docker Hub. Docker knows mirrors of no other registry: put the prefix in "
    "front of those. What else is in the file stays. A reload is enough: containers run on, and you stay logged in.",
    "setup_merge": "This adds it, as root, and leaves all else as it is:",
    "setup_containerd": "containerd",
    "setup_containerd_about": "For the images of every registry at once. What belongs into containerd's own file, in "
    "the form of your version, says where such files are.",
    "setup_podman": "Podman, Buildah, CRI-O",
    "setup_podman_about": "For these registries; add others in the same way.",
    "setup_kubernetes": "Kubernetes",
    "setup_kubernetes_about": "k3s takes this file on every node, RKE2 as "
    "<code>/etc/rancher/rke2/registries.yaml</code>. Other nodes run containerd or CRI-O: see above.",
    "setup_manifest": "Or leave the nodes as they are, and name the host in your manifests:",
    "file": "the whole file",
    "part": "to be added",
    "then": "Then",
    "proxied": "Or set it as the HTTP proxy",
    "proxied_about": "Docker, containerd, Podman, BuildKit and Helm then pull every registry through it, and every "
    "name stays as it is: also in the <code>FROM</code> lines of a Dockerfile. They are to trust this CA, which can "
    "sign for registries' names and for nothing else.",
    "authority": "CA",
    "proxied_then": "Compare the fingerprint with what your operator's <code>crproxy ca show</code> says. Each "
    "client's files are printed by",
    "state": "How it is doing",
    "state_hit_rate": "answered from the cache",
    "state_bytes_served": "served from the cache",
    "state_bytes_stored": "kept in the cache",
    "state_of": ", of {total}",
    "upstreams": "Upstreams",
    "up": "up",
    "down": "down",
    "certificates": "Certificates",
    "valid_until": "Valid until",
    "none_yet": "none yet",
    "nodes": "Nodes",
    "this_node": " (this one)",
    "node_holds": "{version}: {stored} kept, {transfers} transfers",
    "common": "In common",
    "alone": "away: this node goes on alone",
    "leases": "Leases of this node",
    "object_store": "Object store",
    "waiting": "To be uploaded",
    "waiting_number": "{number} objects, {size}",
    "footer": "Every image is checked against its digest. What was pulled once is kept, and served while its registry "
    "is down.",
}

_CHINESE = {
    "name": "中文",
    "skip": "跳到正文",
    "description": "对接所有容器镜像仓库的代理：粘贴镜像名，得到从这里拉取的命令。",
    "heading": "从这里拉取任何镜像",
    "lead": "<code>{base}</code> 是所有容器镜像仓库的统一入口。粘贴您熟悉的镜像名，再复制生成的命令即可。",
    "lead_alias": "<code>{host}</code> 对应 {registry}。粘贴您熟悉的镜像名，再复制生成的命令即可。",
    "label": "镜像",
    "hint": "镜像名，或一行 <code>docker pull</code>、<code>FROM</code>、<code>image:</code>",
    "placeholder": "quay.io/org/app:v1",
    "convert": "转换",
    "examples": "例如",
    "answer": "生成的命令",
    "status_ways": "{image}：有 {count} 种拉取方式",
    "copy": "复制",
    "copied": "已复制",
    "copy_failed": "复制失败：请选中文字后自行复制",
    "way_prefix": "前缀",
    "way_prefix_about": "本站地址后面写仓库名",
    "way_alias": "别名",
    "way_alias_about": "该仓库专用的地址",
    "way_mirror": "加速",
    "way_mirror_about": '镜像名不变，需先<a href="#setup">配置客户端</a>',
    "note_lowered": "镜像名只能用小写字母，已改为小写。",
    "note_tag_left_out": "摘要已经唯一确定了镜像，因此省略了标签。",
    "mistake_too_long": "内容太长。请只粘贴包含镜像名的那一行。",
    "mistake_not_a_name": "这不是镜像名。镜像名形如 nginx、org/app:v1 或 quay.io/org/app:v1。",
    "mistake_no_repository": "这里只有仓库名，没有镜像名。请把后面的部分也写上。",
    "mistake_bad_registry": "最前面的部分不是仓库名。",
    "mistake_bad_tag": "冒号后面的标签最多 128 个字符，可用字母、数字、点、连字符和下划线。",
    "mistake_bad_digest": "@ 后面的摘要应为 sha256: 加 64 位十六进制数字，或 sha512: 加 128 位。",
    "mistake_scratch": "scratch 不是镜像：它代表空镜像，从不需要拉取。",
    "mistake_hugging_face": "Hugging Face 的模型名含有大写字母，镜像仓库不支持：请让 Ollama 直接从那里拉取。",
    "mistake_no_host": "Ollama 的模型名中，本站地址后面不能再写仓库名，因此只能通过 registry.ollama.ai 的别名"
    "从这里拉取，而它还没有别名。",
    "mistake_refused": "本代理不提供这个镜像。",
    "mistake_no_way": "镜像名中间不能出现端口，因此只能通过别名从这里拉取该仓库的镜像，而它还没有别名。",
    "rewrite": "或者粘贴整个文件",
    "rewrite_about": "compose 文件、Kubernetes 清单、Helm 的 values、Dockerfile、脚本或镜像列表："
    "其中的镜像名会改为从本站拉取，其他内容一字不变。",
    "rewrite_label": "文件",
    "rewrite_placeholder": "services:\n  web:\n    image: nginx:1.27",
    "rewrite_form": "镜像名形式",
    "rewrite_go": "改写",
    "rewrite_result": "改写结果",
    "rewrite_command": "文件较长或较多时，请使用命令：",
    "status_changed": "已改写 {count} 个镜像名",
    "status_kept": "第 {line} 行：{name} 保持不变：{why}",
    "status_unread": "从第 {line} 行起不是有效的 YAML：只改写了命令和含 image: 的行。",
    "status_too_long": "内容对本页面来说太长，或者无法连接代理。crproxy rewrite 命令可以处理任意文件。",
    "mistake_inside": "该仓库的地址不是本代理会访问的地址。",
    "mistake_no_images": "其中没有镜像。",
    "mistake_not_text": "这不是 UTF-8 文本。",
    "kept_scratch": "scratch 不是镜像",
    "kept_built": "它在这里构建，而不是拉取",
    "kept_service": "作业按镜像名访问该服务，请为它设置 alias",
    "kept_variable": "由没有默认值的变量决定",
    "kept_template": "由模板决定",
    "kept_not_a_name": "它不是镜像名",
    "kept_written_otherwise": "它跨越多行，或含有转义字符",
    "kept_no_way": "其仓库带有端口，而这里没有对应的别名",
    "kept_inside": "其仓库的地址不是本代理会访问的地址",
    "kept_refused": "本代理不提供它",
    "hosts": "镜像仓库",
    "hosts_about": "下面每个地址对应一个仓库，后面写镜像的路径。其他仓库都可以写成 <code>{base}/仓库/镜像</code>。",
    "hosts_about_local": "把本站地址写在完整的镜像名前面。任何仓库都可以，不限于下面这些。",
    "hosts_about_alone": "下面每个地址对应一个仓库，后面写镜像的路径。",
    "registry": "仓库",
    "host": "地址",
    "setup": "配置一次，镜像名不变",
    "setup_about": "在机器上完成下面任意一种配置后，镜像名保持不变，拉取时经过本代理。",
    "login": "请先登录：<code>docker login {host}</code>",
    "setup_docker": "Docker",
    "setup_docker_about": "用于 Docker Hub 的镜像。Docker 不支持其他仓库的镜像加速，请在镜像名前加前缀。"
    "文件中的其他设置保持不变。只需重新加载：容器继续运行，登录状态不受影响。",
    "setup_merge": "以 root 身份运行下面的命令即可添加，其他内容保持不变：",
    "setup_containerd": "containerd",
    "setup_containerd_about": "一次配置，用于所有仓库的镜像。请按版本把下面对应的一段加入 containerd 自己的配置文件，"
    "它指明此类文件所在的目录。",
    "setup_podman": "Podman、Buildah、CRI-O",
    "setup_podman_about": "用于下列仓库，其他仓库可照此添加。",
    "setup_kubernetes": "Kubernetes",
    "setup_kubernetes_about": "k3s 在每个节点上使用这个文件，RKE2 的路径是 "
    "<code>/etc/rancher/rke2/registries.yaml</code>。其他节点运行 containerd 或 CRI-O，见上文。",
    "setup_manifest": "也可以不改动节点，直接在清单中写上本站地址：",
    "file": "完整文件",
    "part": "添加到文件中",
    "then": "然后",
    "proxied": "或者把它设为 HTTP 代理",
    "proxied_about": "这样，Docker、containerd、Podman、BuildKit 和 Helm 从任何仓库拉取都会经过它，"
    "所有镜像名都保持不变，Dockerfile 中的 <code>FROM</code> 也不例外。"
    "客户端需要信任下面的 CA，它只能为镜像仓库的域名签发证书。",
    "authority": "CA 证书",
    "proxied_then": "请与管理员执行 <code>crproxy ca show</code> 得到的指纹核对。各客户端的配置文件由以下命令输出：",
    "state": "运行状态",
    "state_hit_rate": "缓存命中率",
    "state_bytes_served": "由缓存提供",
    "state_bytes_stored": "缓存占用",
    "state_of": "，上限 {total}",
    "upstreams": "上游仓库",
    "up": "正常",
    "down": "不可用",
    "certificates": "证书",
    "valid_until": "有效期至",
    "none_yet": "尚未签发",
    "nodes": "节点",
    "this_node": "（本节点）",
    "node_holds": "{version}：保存 {stored}，传输中 {transfers} 个",
    "common": "共用服务",
    "alone": "不可用：本节点独自运行",
    "leases": "本节点的租约",
    "object_store": "对象存储",
    "waiting": "等待上传",
    "waiting_number": "{number} 个对象，{size}",
    "footer": "每个镜像都按摘要校验。拉取过的内容会保留下来，原仓库不可用时照样提供。",
}

TEXTS: Mapping[Language, Mapping[str, str]] = {Language.ENGLISH: _ENGLISH, Language.CHINESE: _CHINESE}
