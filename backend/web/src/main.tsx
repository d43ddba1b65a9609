import { render } from "preact";
import { App } from "./app";
import "./styles/base.css";
import "./styles/slides.css";
import "./styles/workbench.css";
import "./styles/her2.css";

render(<App />, document.getElementById("app")!);
