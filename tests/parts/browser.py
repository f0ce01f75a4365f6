"""A browser: Debian's Chromium without a screen, driven as somebody at a keyboard uses it.

Host names lead where a test says, so that pages have the addresses that people see.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from axe_core_python.selenium import Axe  # type: ignore[import-untyped]
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from .ports import reserve_port
from .process import clean_environment
from .requirements import need

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Chromium"]

_PATIENCE = 20


class Chromium:
    """A running browser; leaving the ``with`` block ends it.

    Arguments:
        directory: its profile, and its home.
        hosts: the address and port that each host leads to; ``*.`` stands for all below.
        fonts: a configuration of fonts (fonts-conf(5)) in place of the system's.
    """

    def __init__(self, directory: Path, hosts: Mapping[str, str], fonts: Path | None = None) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = need("chromium")
        rules = ", ".join(f"MAP {host} {address}" for host, address in hosts.items())
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            # Of a test's own authority.
            "--ignore-certificate-errors",
            "--no-proxy-server",
            f"--user-data-dir={directory / 'profile'}",
            f"--host-resolver-rules={rules}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        environment = clean_environment(directory, **({} if fonts is None else {"FONTCONFIG_FILE": str(fonts)}))
        self._driver = webdriver.Chrome(options, Service(need("chromedriver"), reserve_port(), env=environment))
        self._driver.set_script_timeout(_PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.quit()

    # What it is like

    def reset(self) -> None:
        """Be as it was at first: wide, light, with scripts, and nowhere."""
        self.look()
        self.allow_scripts(True)
        self.accept_language("en")
        self._driver.get("about:blank")
        self._driver.get_log("browser")

    def look(self, width: int = 1200, height: int = 900, *, dark: bool = False, still: bool = True) -> None:
        """Have a window of this size, and these preferences of its user: a dark page, one where nothing moves."""
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        self._command(
            "Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()]
        )

    def allow_scripts(self, allowed: bool) -> None:
        """Run the scripts of pages, or none."""
        self._command("Emulation.setScriptExecutionDisabled", value=not allowed)

    def accept_language(self, languages: str) -> None:
        """Ask for pages in these languages."""
        self._command("Network.enable")
        self._command("Network.setExtraHTTPHeaders", headers={"Accept-Language": languages})

    # What somebody does

    def open(self, url: str) -> None:
        """Go to a page."""
        self._driver.get(url)

    def type(self, selector: str, *keys: str) -> None:
        """Press keys in an element."""
        self.find(selector).send_keys(*keys)

    def write(self, selector: str, text: str) -> None:
        """Replace an element's text."""
        self.type(selector, Keys.CONTROL + "a", Keys.DELETE)
        # A line break would send a form.
        self.type(selector, text)

    def paste(self, selector: str) -> str:
        """Replace an element's text by the clipboard's; return it."""
        self.type(selector, Keys.CONTROL + "a", Keys.DELETE)
        self.type(selector, Keys.CONTROL + "v")
        return str(self.find(selector).get_property("value"))

    def click(self, selector: str, number: int = 0) -> None:
        """Click on what `selector` finds, or on the one with this number."""
        self.find_all(selector)[number].click()

    def tab(self) -> WebElement:
        """Press Tab; return what has the focus then."""
        self._driver.switch_to.active_element.send_keys(Keys.TAB)
        return self._driver.switch_to.active_element

    # What somebody sees

    @property
    def url(self) -> str:
        return self._driver.current_url

    def find(self, selector: str) -> WebElement:
        return self._driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector: str) -> list[WebElement]:
        return self._driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The texts that can be seen of what `selector` finds."""
        return [element.text for element in self.find_all(selector) if element.is_displayed()]

    def wait_until(self, happened: Callable[[], object]) -> None:
        """Wait until something is true."""
        # A script may replace what is just being looked at.
        waiting = WebDriverWait(self._driver, _PATIENCE, 0.02, [StaleElementReferenceException])
        waiting.until(lambda _: _happened(happened))

    def measure(self, script: str) -> Any:
        """What an expression of its language is."""
        return self._driver.execute_script(f"return {script}")

    def complaints(self) -> list[str]:
        """What its console tells of, such as what a Content-Security-Policy forbade."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def violations(self) -> list[str]:
        """What axe-core finds on this page that keeps somebody from using it."""
        found = Axe().run(self._driver)
        return [
            f"{rule['id']}: {rule['help']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]
        ]

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self._command("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"])

    def _command(self, command: str, **arguments: Any) -> Any:
        return self._driver.execute_cdp_cmd(command, arguments)


def _happened(happened: Callable[[], object]) -> object:
    """Ask, and take for no what fails because the page has just been replaced by the next one."""
    try:
        return happened()
    except WebDriverException as error:
        if "does not belong to the document" not in (error.msg or ""):
            raise
        return False
